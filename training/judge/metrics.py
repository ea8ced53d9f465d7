"""Judges predictions: the study's own F1, the figures of each class, and the figures on a card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops
from sklearn.metrics import average_precision_score, precision_recall_curve, precision_recall_fscore_support

from hpa_sdk.errors import HpaError
from hpa_sdk.labels import Label
from hpa_sdk.models.model_card import Metrics
from hpa_sdk.prediction import Probabilities
from training.data.dataset import Targets

Present = npt.NDArray[np.bool_]
"""bool of shape (fields, 28): whether the field has the class."""

RECALLS = tuple(at / 100 for at in range(101))
"""The recalls at which the precision of a class is stored for its curve."""

_EPSILON = 1e-7


class EvaluationError(HpaError):
    """Truth and probabilities can't be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Averages:
    """Figures over all classes, 0 to 1."""

    f1: float
    precision: float
    recall: float
    average_precision: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures:
    """Figures of one class.

    Attributes
    ----------
    label : str
        HPA name.
    threshold : float
        The probability from which it counts as present.
    support, predicted : int
        Fields that have it, and fields for which it was predicted.
    f1, precision, recall, average_precision : float or None
        None if no field has the class. Precision is 0 if nothing was predicted.
    precision_at_recall : tuple of float or None
        For each of `RECALLS`, the precision at the highest threshold that reaches it.
    """

    label: str
    threshold: float
    support: int
    predicted: int
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None
    average_precision: float | None = None
    precision_at_recall: tuple[float, ...] | None = None


def check_judged(truth: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[Present, Probabilities]:
    """Refuse truth and probabilities that would give meaningless figures.

    Parameters
    ----------
    truth, probabilities : array_like
        Of shape (fields, 28), with at least one field: 0 or 1, and 0 to 1.

    Returns
    -------
    present : numpy.ndarray
        bool of shape (fields, 28).
    probabilities : numpy.ndarray
        float32 of shape (fields, 28).

    Raises
    ------
    EvaluationError
        A shape is wrong, no field has any class, or a value is outside its range or not a number.
    """
    targets, scores = np.asarray(truth), np.asarray(probabilities, np.float32)
    if targets.shape != scores.shape or targets.shape[1:] != (len(Label),) or not len(targets):
        raise EvaluationError(
            f"the truth has shape {targets.shape}, the probabilities {scores.shape}, not both (fields, {len(Label)})",
            remedy="Give one row for each field that was predicted, and at least one.",
        )
    if not np.isin(targets, (0, 1)).all():
        raise EvaluationError(
            "the truth holds something other than 0 and 1", remedy="Give 1 where a field has a class."
        )
    if not ((scores >= 0) & (scores <= 1)).all():
        raise EvaluationError(
            "a probability is not a number from 0 to 1",
            remedy="Look at the network: a fit that diverged answers with values that are no numbers.",
        )
    if not targets.any():
        raise EvaluationError("no field has any class", remedy="Give fields that have labels.")
    return targets.astype(bool), scores


def batch_f1(truth: Any, probabilities: Any) -> Any:  # noqa: ANN401 - tensors of any Keras backend
    """Compute the study's F1: micro F1 of one batch at 0.5, which Keras then averages over the batches.

    Precision is TP / (predicted + e), recall TP / (true + e), F1 is 2PR / (P + R + e), with e = 1e-7, and a
    probability of exactly 0.5 counts as absent (the study's cell 8).

    Parameters
    ----------
    truth, probabilities : tensor
        Of shape (N, 28).

    Returns
    -------
    tensor
        A number, 0 to 1.
    """
    hits = ops.sum(ops.round(truth * probabilities))
    precision = hits / (ops.sum(ops.round(probabilities)) + _EPSILON)
    recall = hits / (ops.sum(truth) + _EPSILON)
    return 2 * precision * recall / (precision + recall + _EPSILON)


def judge_classes(
    present: Present, probabilities: Probabilities, thresholds: Sequence[float]
) -> tuple[ClassFigures, ...]:
    """Judge each class separately.

    Parameters
    ----------
    present, probabilities : numpy.ndarray
        As `check_judged` gives them.
    thresholds : sequence of float
        The probability from which each class counts as present.

    Returns
    -------
    tuple of ClassFigures
        In the order of `Label`.
    """
    predicted = probabilities >= np.asarray(thresholds, np.float32)
    return tuple(
        _judge_class(
            ClassFigures(
                label=label.hpa_name,
                threshold=thresholds[label],
                support=int(present[:, label].sum()),
                predicted=int(predicted[:, label].sum()),
            ),
            present[:, label],
            predicted[:, label],
            probabilities[:, label],
        )
        for label in Label
    )


def _judge_class(
    counts: ClassFigures,
    present: npt.NDArray[np.bool_],
    predicted: npt.NDArray[np.bool_],
    probabilities: npt.NDArray[np.float32],
) -> ClassFigures:
    if not counts.support:
        return counts
    precision, recall, f1, _ = precision_recall_fscore_support(present, predicted, average="binary", zero_division=0)
    # The last point of scikit-learn's curve has no threshold; before it, backwards, thresholds fall and recall rises.
    precisions, recalls = (values[-2::-1] for values in precision_recall_curve(present, probabilities)[:2])
    return replace(
        counts,
        f1=float(f1),
        precision=float(precision),
        recall=float(recall),
        average_precision=float(average_precision_score(present, probabilities)),
        precision_at_recall=tuple(precisions[np.searchsorted(recalls, RECALLS)].tolist()),
    )


def micro_averages(present: Present, probabilities: Probabilities, thresholds: Sequence[float]) -> Averages:
    """Judge all decisions together, also for classes without a field; parameters as for `judge_classes`."""
    predicted = probabilities >= np.asarray(thresholds, np.float32)
    precision, recall, f1, _ = precision_recall_fscore_support(present, predicted, average="micro", zero_division=0)
    return Averages(
        f1=float(f1),
        precision=float(precision),
        recall=float(recall),
        average_precision=float(average_precision_score(present, probabilities, average="micro")),
    )


def macro_averages(classes: Sequence[ClassFigures]) -> Averages:
    """Average the figures of the classes that have a field."""
    rows = [
        (figures.f1, figures.precision, figures.recall, figures.average_precision)
        for figures in classes
        if figures.support
    ]
    f1, precision, recall, average_precision = np.mean(np.asarray(rows, np.float64), axis=0).tolist()
    return Averages(f1=f1, precision=precision, recall=recall, average_precision=average_precision)


def judge(
    truth: Targets, probabilities: npt.NDArray[np.float32], *, thresholds: tuple[float, ...], data: str
) -> Metrics:
    """Judge probabilities against the truth with scikit-learn.

    Parameters
    ----------
    truth, probabilities : numpy.ndarray
        float32 of shape (fields, 28).
    thresholds : tuple of float
        The probability from which each class counts as present.
    data : str
        Name of the data and of the part of it.

    Returns
    -------
    Metrics
        Macro F1 is the mean over the classes that occur in `truth`.

    Raises
    ------
    EvaluationError
        The arrays can't be judged; see `check_judged`.
    """
    present, probabilities = check_judged(truth, probabilities)
    classes = judge_classes(present, probabilities, thresholds)
    return Metrics(
        data=data,
        fields=len(present),
        micro_f1=micro_averages(present, probabilities, thresholds).f1,
        macro_f1=macro_averages(classes).f1,
        class_f1=tuple(figures.f1 for figures in classes),
        support=tuple(figures.support for figures in classes),
    )
