"""Searches for the best quantization plan on this machine: tries plans, and takes the nearest of the fast ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from export.errors import VariantError
from export.fields import Fields
from export.quantization.quantizer import BETWEEN, WEIGHTED, QuantizationPlan, Quantizer
from export.variants.agreement import Agreement, answer, compare
from export.variants.gates import find_shortfalls
from export.variants.speed import measure_cpu_shares
from export.variants.variant import Parent

_FAST_ENOUGH = 0.4
_AS_FAST = 1.1
_STEM = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The result of a plan.

    Attributes
    ----------
    plan : QuantizationPlan
        The plan.
    cpu_share : float
        CPU time of one field as a share of the parent's: the median over the pairs.
    agreement : Agreement
        How far the answers are from the parent's.
    passes : bool
        Whether it passes the gates on the fields of the search.
    """

    plan: QuantizationPlan
    cpu_share: float
    agreement: Agreement
    passes: bool

    def __str__(self) -> str:
        return f"CPU time {self.cpu_share:.0%}, same label sets {self.agreement.same_label_sets:.1%}"


def search(quantizer: Quantizer, parent: Parent, tried_on: Fields, start: QuantizationPlan) -> list[Trial]:
    """Try the settings one by one, each with the best values of the settings before it.

    Parameters
    ----------
    quantizer : Quantizer
        The quantizer of the parent.
    parent : Parent
        The file.
    tried_on : Fields
        Fields that are used neither for the calibration nor for the final judgement.
    start : QuantizationPlan
        The first plan.

    Returns
    -------
    list of Trial
        All trials, in order; `choose` finds the best.
    """
    expected = answer(parent.path, parent.card, tried_on)
    trials = [_try(quantizer, parent, tried_on, expected, start)]
    settings = list(_alternatives(quantizer))
    with tqdm(settings, desc="try int8", unit="plan", disable=None) as shown:
        for name, value in shown:
            plan = replace(choose(trials).plan, **{name: value})
            if all(trial.plan != plan for trial in trials):
                # A plan that fails in onnxruntime does not affect the others.
                with contextlib.suppress(VariantError):
                    trials.append(_try(quantizer, parent, tried_on, expected, plan))
    return trials


def choose(trials: list[Trial]) -> Trial:
    """Take the trial nearest to the parent that passes the gates and is fast: at most 40 % of the parent's CPU time.

    If none is so fast, take the nearest of those about as fast as the fastest; if none passes, choose among all.
    """
    good = [trial for trial in trials if trial.passes] or trials
    fastest = min(trial.cpu_share for trial in good)
    # The fields of the search are few and often from the fit: a plan that narrowly passes on them fails on others.
    fast = [trial for trial in good if trial.cpu_share <= max(_FAST_ENOUGH, fastest * _AS_FAST)]
    return min(fast, key=lambda trial: trial.agreement.mean_difference)


def describe(trials: list[Trial]) -> dict[str, str]:
    """Describe the chosen value of each setting, and the result of the most similar trial for each other value."""
    best = choose(trials)
    settings = {}
    for setting in fields(QuantizationPlan):
        by_value: dict[str, Trial] = {}
        for trial in sorted(trials, key=lambda trial: _differences(trial.plan, best.plan)):
            by_value.setdefault(_name(trial.plan, setting.name), trial)
        chosen = _name(best.plan, setting.name)
        others = (f"not {name} ({trial})" for name, trial in by_value.items() if name != chosen)
        settings[setting.name] = "; ".join([f"{chosen} ({best})", *others])
    return settings


def _differences(plan: QuantizationPlan, other: QuantizationPlan) -> int:
    return sum(getattr(plan, setting.name) != getattr(other, setting.name) for setting in fields(QuantizationPlan))


def _name(plan: QuantizationPlan, setting: str) -> str:
    value: Any = getattr(plan, setting)
    return (", ".join(value) or "none") if isinstance(value, tuple) else str(value)


def _alternatives(quantizer: Quantizer) -> Iterator[tuple[str, Any]]:
    """Yield the settings that may improve the answers at little cost, then those that may cost much more."""
    yield from (("calibration", value) for value in ("Entropy", "Percentile"))
    # All other layers use the rounded outputs of the first ones, where most of the error comes from.
    yield from (("excluded", quantizer.convolutions[:count]) for count in range(1, _STEM + 1))
    yield "excluded", quantizer.convolutions[-1:]
    yield "operators", (*WEIGHTED, *BETWEEN)
    yield from (("signedness", value) for value in ("U8U8", "S8S8"))
    yield "reduce_range", True


def _try(
    quantizer: Quantizer, parent: Parent, tried_on: Fields, expected: np.ndarray[Any, Any], plan: QuantizationPlan
) -> Trial:
    path = quantizer.quantize(plan)
    agreement = compare(expected, answer(path, parent.card, tried_on), parent.card, tried_on)
    return Trial(
        plan=plan,
        cpu_share=float(np.median(measure_cpu_shares(parent, path, tried_on))),
        agreement=agreement,
        passes=not find_shortfalls("int8", agreement, path.stat().st_size / parent.file.size),
    )
