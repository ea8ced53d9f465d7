"""Decides by nested cross-validation what an adaptation changes: what is better than the old model by more than chance.

Everything that is learned from fields, also how far the last layer may move, is learned anew without the fields of each
fold, and judged on these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hpa_sdk.adapt.figures import Change, Present, bootstrap_weights, macro_average_precision, macro_f1
from hpa_sdk.adapt.folds import Rows, folds_of
from hpa_sdk.adapt.regression import Step, choose_freedom, cross_entropy
from hpa_sdk.adapt.temperature import fit_temperature
from hpa_sdk.adapt.thresholds import tune_thresholds

Numbers = npt.NDArray[np.floating[Any]]

LEAST_REFITTED = 5
"""Fields with a class, and fields without it, from which its part of the last layer is refitted."""

LEAST_FOR_LAYER = 50
"""Fields from which the last layer of old classes is refitted. Fewer seldom make the order better, and cross-validation
on them does not find out when they make it worse."""

LEAST_JUDGED = 2
"""Fields with a class, and fields without it, from which it counts in the figures."""

LARGEST_LOSS = 0.01
"""How much lower one figure may be if the other is higher."""

LEAST_SHARPER = 0.001
"""Least gain of the mean cross-entropy of a decision for which the temperature is changed."""

_LEVEL = 0.05
_REPEATS = 3
_OUTER_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Reviewed fields with the answers of the old model.

    Attributes
    ----------
    truth : numpy.ndarray
        bool of shape (fields, classes): old classes, then new ones.
    logits : numpy.ndarray
        float64 of shape (fields, classes); for a new class the same number for all fields.
    embeddings : numpy.ndarray or None
        float32 of shape (fields, width); None if the last layer can't be refitted.
    thresholds : numpy.ndarray
        float64 of shape (classes,): the old ones, in logits.
    old_classes : int
        Number of classes of the old model.
    """

    truth: Present
    logits: npt.NDArray[np.float64]
    embeddings: npt.NDArray[np.float32] | None
    thresholds: npt.NDArray[np.float64]
    old_classes: int

    def rows(self, rows: Rows) -> Fields:
        """Return some of the fields."""
        embeddings = None if self.embeddings is None else self.embeddings[rows]
        return replace(self, truth=self.truth[rows], logits=self.logits[rows], embeddings=embeddings)

    def classes(self, least: int) -> Rows:
        """Return the old classes that at least this many fields have, and as many lack."""
        having = self.truth[:, : self.old_classes].sum(axis=0)
        return np.flatnonzero(np.minimum(having, len(self.truth) - having) >= least)

    @property
    def new_classes(self) -> Rows:
        """The classes that the old model does not have."""
        return np.arange(self.old_classes, self.truth.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """An adapted model.

    Attributes
    ----------
    step : Step or None
        The change of the last layer, for all classes; None if no class has any.
    thresholds : numpy.ndarray
        float64 of shape (classes,), in logits.
    freedoms : mapping of str to float
        The chosen freedom of the old and of the new classes.
    """

    step: Step | None
    thresholds: Numbers
    freedoms: Mapping[str, float]

    def moved(self, fields: Fields) -> npt.NDArray[np.float64]:
        """Return the logits of fields."""
        if self.step is None or fields.embeddings is None:
            return fields.logits
        return fields.logits + self.step.of(fields.embeddings)


def learn(fields: Fields, refitted: Rows) -> Learned:
    """Learn the last layer of some old classes and of the new ones, then the thresholds.

    Parameters
    ----------
    fields : Fields
        What to learn from.
    refitted : numpy.ndarray
        The old classes whose part of the last layer is refitted; empty for thresholds alone.
    """
    held_out, freedoms, step = fields.logits.copy(), {}, None
    for name, classes in (("old classes", refitted), ("new classes", fields.new_classes)):
        if fields.embeddings is None or not len(classes):
            continue
        found = choose_freedom(fields.embeddings, fields.logits[:, classes], fields.truth[:, classes])
        if step is None:
            width, whole = fields.embeddings.shape[1], fields.truth.shape[1]
            step = Step(np.zeros((width, whole)), np.zeros(whole))
        step.weights[:, classes], step.bias[classes] = found.step.weights, found.step.bias
        held_out[:, classes] = found.held_out
        freedoms[name] = found.freedom
    return Learned(step=step, thresholds=tune_thresholds(fields.truth, held_out, fields.thresholds), freedoms=freedoms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to adapt, with its figures in nested cross-validation.

    Attributes
    ----------
    name : str
        ``"thresholds"`` or ``"last layer"``.
    refitted : numpy.ndarray
        As for `learn`.
    logits : numpy.ndarray
        float64 of shape (fields, classes): of each field by a model that was not learned from it.
    predicted : numpy.ndarray
        bool of shape (fields, classes): by the thresholds of that model.
    f1, average_precision, likelihood : Change
        Macro F1, macro average precision and minus the mean cross-entropy of the old classes, before and after.
    """

    name: str
    refitted: Rows
    logits: npt.NDArray[np.float64]
    predicted: Present
    f1: Change
    average_precision: Change
    likelihood: Change

    @property
    def gain(self) -> float:
        """The gains of macro F1 and macro average precision together."""
        return self.f1.gain + self.average_precision.gain

    def __str__(self) -> str:
        """Say the gains, with the interval of that of macro F1."""
        low, high = self.f1.interval
        return (
            f"{self.name}: macro F1 {self.f1.gain:+.3f} ({low:+.3f} to {high:+.3f}), average precision"
            f" {self.average_precision.gain:+.3f}"
        )

    @property
    def better(self) -> bool:
        """Whether a figure is higher by more than chance, and label sets and order are not worse."""
        changes = (self.f1, self.average_precision, self.likelihood)
        level = _LEVEL / (len(changes) if len(self.refitted) else 1)
        kept = min(self.f1.gain, self.average_precision.gain) >= -LARGEST_LOSS and self.gain > 0
        return kept and any(change.exceeds_chance(level) for change in changes)


def judge(fields: Fields, name: str, refitted: Rows) -> Candidate:
    """Judge one way to adapt by nested cross-validation, repeated with other folds."""
    judged, weights = fields.classes(LEAST_JUDGED), bootstrap_weights(len(fields.truth))
    truth = fields.truth[:, judged]

    def figures(logits: npt.NDArray[np.float64], predicted: Present) -> npt.NDArray[np.float64]:
        entropy = cross_entropy(truth, logits[:, judged]).mean(axis=1) / len(truth)
        return np.stack(
            [
                macro_f1(truth, predicted[:, judged], weights),
                macro_average_precision(truth, logits[:, judged], weights),
                -(weights @ entropy),
            ]
        )

    runs = [_held_out(fields, refitted, _OUTER_SEED + repeat) for repeat in range(_REPEATS)]
    before = figures(fields.logits, fields.logits >= fields.thresholds)
    after = np.mean([figures(*run) for run in runs], axis=0)
    f1, order, likelihood = map(Change, before, after)
    logits, predicted = runs[0]
    return Candidate(
        name=name,
        refitted=refitted,
        logits=logits,
        predicted=predicted,
        f1=f1,
        average_precision=order,
        likelihood=likelihood,
    )


def _held_out(fields: Fields, refitted: Rows, seed: int) -> tuple[npt.NDArray[np.float64], Present]:
    """Return logits and label sets of each field by a model that was not learned from it."""
    logits, predicted = fields.logits.copy(), np.zeros_like(fields.truth)
    for rest, fold in folds_of(fields.truth, seed):
        learned = learn(fields.rows(rest), refitted)
        logits[fold] = learned.moved(fields.rows(fold))
        predicted[fold] = logits[fold] >= learned.thresholds
    return logits, predicted


def candidates(fields: Fields) -> list[Candidate]:
    """Judge all ways to adapt."""
    ways = [judge(fields, "thresholds", np.arange(0))]
    refitted = fields.classes(LEAST_REFITTED)
    if fields.embeddings is not None and len(refitted) and len(fields.truth) >= LEAST_FOR_LAYER:
        ways.append(judge(fields, "last layer", refitted))
    return ways


def choose(ways: list[Candidate], *, force: bool = False) -> Candidate | None:
    """Return the best way that is better than the old model; if none is, the one with the highest gain, or None.

    Parameters
    ----------
    ways : list of Candidate
        All that were judged.
    force : bool
        Take one in any case.
    """
    better = [way for way in ways if way.better]
    return max(better or (ways if force else []), key=lambda way: way.gain, default=None)


def judge_new_class(fields: Fields, logits: npt.NDArray[np.float64], label: int) -> Change:
    """Compare the average precision of a new class with that of an answer without information, its base rate."""
    weights, truth = bootstrap_weights(len(fields.truth)), fields.truth[:, [label]]
    return Change(
        macro_average_precision(truth, np.zeros_like(logits[:, [label]]), weights),
        macro_average_precision(truth, logits[:, [label]], weights),
    )


def is_learned(change: Change, least: float = 0) -> bool:
    """Whether one figure that is tested alone is higher by more than chance, and by at least this much."""
    return change.gain >= least and change.exceeds_chance(_LEVEL)


def judge_temperature(truth: Present, logits: npt.NDArray[np.float64], old: float) -> tuple[float, Change]:
    """Fit a temperature, and compare the cross-entropy with that of the old one, in cross-validation.

    Parameters
    ----------
    truth, logits : numpy.ndarray
        Of the fields, by a layer that was not fitted on them.
    old : float
        The temperature so far; 1 if there is none.

    Returns
    -------
    temperature : float
        Fitted on all fields.
    change : Change
        Minus the mean cross-entropy, before and after.
    """
    scaled = logits.copy()
    for rest, fold in folds_of(truth, _OUTER_SEED):
        scaled[fold] /= fit_temperature(truth[rest], logits[rest])
    weights = bootstrap_weights(len(truth)) / len(truth)
    before, after = (-(weights @ cross_entropy(truth, found).mean(axis=1)) for found in (logits / old, scaled))
    return fit_temperature(truth, logits), Change(before, after)
