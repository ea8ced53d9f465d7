"""Judges answers on held-out fields, beside chance and the guess of the commonest classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score

from hpa_sdk.labels import Label
from hpa_sdk.prediction import Probabilities
from training.data.dataset import Targets
from training.judge.metrics import Present, check_judged

_TURNS = 500
_OUTSIDE = (2.5, 97.5)

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95 % interval, by bootstrap over the fields."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Give it with two digits."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassJudgement:
    """The figures of one class."""

    label: str
    support: int
    f1: float
    auc: Figure
    average_precision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The figures of a set.

    Attributes
    ----------
    data : str
        Its name.
    fields, fewest : int
        Number of fields, and of fields that a class needs to count.
    classes : tuple of ClassJudgement
        Those that count.
    macro_f1, micro_f1, auc, average_precision : Figure
        Means over the classes that count; micro F1 over all decisions.
    chance_auc : float
        The macro AUC below which 95 % of random permutations of the fields stay.
    base_rate : float
        The average precision of an answer without information: the mean share of the classes' fields.
    guess : tuple of str
        The commonest classes; those that give the highest micro F1 if said of each field.
    guess_macro_f1, guess_micro_f1 : float
        What that guess reaches.
    """

    data: str
    fields: int
    fewest: int
    classes: tuple[ClassJudgement, ...]
    macro_f1: Figure
    micro_f1: Figure
    auc: Figure
    chance_auc: float
    average_precision: Figure
    base_rate: float
    guess: tuple[str, ...]
    guess_macro_f1: float
    guess_micro_f1: float


def judge_set(
    data: str,
    truth: Targets,
    probabilities: Probabilities,
    thresholds: Sequence[float],
    *,
    fewest: int,
    seed: int = 0,
    turns: int = _TURNS,
) -> Judgement:
    """Judge the probabilities of a set.

    Parameters
    ----------
    data : str
        Name of the set.
    truth, probabilities : numpy.ndarray
        float32 of shape (fields, 28).
    thresholds : sequence of float
        The probability from which each class counts as present.
    fewest : int
        Fields that a class needs to count.
    seed, turns : int
        Of bootstrap and permutations.

    Raises
    ------
    JudgementError
        The arrays can't be judged.
    """
    present, probabilities = check_judged(truth, probabilities)
    counted = [label for label in Label if present[:, label].sum() >= fewest]
    predicted = probabilities >= np.asarray(thresholds, np.float32)
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, len(present), len(present)) for _ in range(turns)]

    def figure(of: Callable[[npt.NDArray[np.intp]], float]) -> Figure:
        low, high = np.nanpercentile([of(draw) for draw in draws], _OUTSIDE)
        return Figure(of(np.arange(len(present))), float(low), float(high))

    def aucs(rows: npt.NDArray[np.intp]) -> _Numbers:
        return class_aucs(present[rows][:, counted], probabilities[rows][:, counted])

    f1 = class_f1(present, predicted)
    guess = commonest(present)
    guessed = np.zeros_like(present)
    guessed[:, guess] = True
    return Judgement(
        data=data,
        fields=len(present),
        fewest=fewest,
        classes=tuple(
            ClassJudgement(
                label=label.hpa_name,
                support=int(present[:, label].sum()),
                f1=float(f1[label]),
                auc=figure(partial(_class_auc, present, probabilities, label)),
                average_precision=float(average_precision_score(present[:, label], probabilities[:, label])),
            )
            for label in counted
        ),
        macro_f1=figure(lambda rows: float(np.nanmean(class_f1(present[rows], predicted[rows])[counted]))),
        micro_f1=figure(lambda rows: micro_f1(present[rows], predicted[rows])),
        auc=figure(lambda rows: float(np.nanmean(aucs(rows)))),
        chance_auc=_chance_auc(present[:, counted], probabilities[:, counted], rng, turns),
        average_precision=figure(lambda rows: _average_precision(present[rows], probabilities[rows], counted)),
        base_rate=float(present[:, counted].mean()),
        guess=tuple(Label(label).hpa_name for label in guess),
        guess_macro_f1=float(class_f1(present, guessed)[counted].mean()),
        guess_micro_f1=micro_f1(present, guessed),
    )


def class_aucs(present: Present, scores: npt.NDArray[np.floating[Any]]) -> _Numbers:
    """Give the area under the ROC curve of each column; no number where all fields have the class, or none.

    It is the share of pairs of a field with and one without the class that the scores put in order; ties count half.
    """
    return _aucs_of_ranks(present, rankdata(scores, axis=0))


def _aucs_of_ranks(present: Present, ranks: _Numbers) -> _Numbers:
    positive = present.sum(axis=0)
    pairs = (positive * (len(present) - positive)).astype(np.float64)
    ordered = (ranks * present).sum(axis=0) - positive * (positive + 1) / 2
    aucs: _Numbers = np.divide(ordered, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    return aucs


def class_f1(present: Present, predicted: Present) -> _Numbers:
    """Give the F1 of each class; no number where no field has it and none was predicted."""
    whole = (present.sum(axis=0) + predicted.sum(axis=0)).astype(np.float64)
    hits = (present & predicted).sum(axis=0)
    f1: _Numbers = np.divide(2 * hits, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return f1


def micro_f1(present: Present, predicted: Present) -> float:
    """Give the F1 over all decisions."""
    return float(2 * (present & predicted).sum() / max(1, present.sum() + predicted.sum()))


def commonest(present: Present) -> npt.NDArray[np.intp]:
    """Give the commonest classes that, said of each field, reach the highest micro F1."""
    order = np.argsort(-present.sum(axis=0), kind="stable")
    said = np.arange(1, len(order) + 1)
    f1 = 2 * np.cumsum(present.sum(axis=0)[order]) / (present.sum() + said * len(present))
    return np.sort(order[: int(f1.argmax()) + 1])


def _class_auc(present: Present, probabilities: Probabilities, label: int, rows: npt.NDArray[np.intp]) -> float:
    return float(class_aucs(present[rows][:, [label]], probabilities[rows][:, [label]])[0])


def _average_precision(present: Present, probabilities: Probabilities, counted: list[Label]) -> float:
    drawn = [label for label in counted if present[:, label].any()]
    return float(np.mean([average_precision_score(present[:, label], probabilities[:, label]) for label in drawn]))


def _chance_auc(present: Present, probabilities: Probabilities, rng: np.random.Generator, turns: int) -> float:
    ranks = rankdata(probabilities, axis=0)
    found = [np.nanmean(_aucs_of_ranks(present[rng.permutation(len(present))], ranks)) for _ in range(turns)]
    return float(np.percentile(found, 95))
