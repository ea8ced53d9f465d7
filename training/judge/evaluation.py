"""Judges probabilities against the truth; tables, plots and files all use these figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import hamming_loss

from hpa_sdk.prediction import Probabilities
from training.data.dataset import Targets
from training.judge.calibration import Reliability, measure_reliability
from training.judge.metrics import (
    Averages,
    ClassFigures,
    Present,
    batch_f1,
    check_judged,
    judge_classes,
    macro_averages,
    micro_averages,
)

_STUDY_BATCH = 10
_PRESENT_ABOVE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All figures of one network on some fields.

    Attributes
    ----------
    data : str
        Name of the data and of the part of it.
    fields : int
        Number of fields.
    micro : Averages
        Over all decisions, also for classes without a field.
    macro : Averages
        Mean over the classes that have a field.
    binary_accuracy : float
        Share of right decisions if a class counts as present above 0.5, as in the study.
    batch_f1 : float
        The study's F1: micro F1 above 0.5 of each batch of ten fields, averaged over the batches.
    classes : tuple of ClassFigures
        In the order of `Label`.
    without_field : tuple of str
        Names of the classes that no field has.
    pairs, predicted_pairs : tuple of tuple of int
        28 x 28: the number of fields that have both classes, in truth and in the predictions.
    reliability : tuple of Reliability
        Of the unchanged probabilities, then at the card's temperature if it has one.
    """

    data: str
    fields: int
    micro: Averages
    macro: Averages
    binary_accuracy: float
    batch_f1: float
    classes: tuple[ClassFigures, ...]
    without_field: tuple[str, ...]
    pairs: tuple[tuple[int, ...], ...]
    predicted_pairs: tuple[tuple[int, ...], ...]
    reliability: tuple[Reliability, ...]


def judge_fields(
    truth: Targets,
    probabilities: Probabilities,
    *,
    thresholds: Sequence[float],
    data: str,
    temperature: float | None = None,
) -> Evaluation:
    """Judge probabilities against the truth.

    Parameters
    ----------
    truth, probabilities : numpy.ndarray
        float32 of shape (fields, 28).
    thresholds : sequence of float
        The probability from which each class counts as present (``probability >= threshold``).
    data : str
        Name of the data and of the part of it.
    temperature : float, optional
        The card's, to show its effect on the reliability.

    Raises
    ------
    EvaluationError
        The arrays can't be judged; see `training.judge.metrics.check_judged`.
    """
    present, probabilities = check_judged(truth, probabilities)
    classes = judge_classes(present, probabilities, thresholds)
    temperatures = (1.0,) if temperature is None else (1.0, temperature)
    return Evaluation(
        data=data,
        fields=len(present),
        micro=micro_averages(present, probabilities, thresholds),
        macro=macro_averages(classes),
        binary_accuracy=float(1 - hamming_loss(present, probabilities > _PRESENT_ABOVE)),
        batch_f1=_study_f1(present, probabilities),
        classes=classes,
        without_field=tuple(figures.label for figures in classes if not figures.support),
        pairs=_pairs(present),
        predicted_pairs=_pairs(probabilities >= np.asarray(thresholds, np.float32)),
        reliability=tuple(measure_reliability(truth, probabilities, temperature=divisor) for divisor in temperatures),
    )


def _study_f1(present: Present, probabilities: Probabilities) -> float:
    truth = present.astype(np.float32)
    batches = (slice(at, at + _STUDY_BATCH) for at in range(0, len(truth), _STUDY_BATCH))
    return float(np.mean([float(batch_f1(truth[batch], probabilities[batch])) for batch in batches]))


def _pairs(present: Present) -> tuple[tuple[int, ...], ...]:
    counts = present.astype(np.int64)
    return tuple(tuple(row) for row in (counts.T @ counts).tolist())
