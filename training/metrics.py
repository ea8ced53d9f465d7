"""Judges predictions: the study's own F1, and what a card says of a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops
from sklearn.metrics import f1_score

from hpa_sdk.labels import Label
from hpa_sdk.model_card import Metrics
from training.dataset import Targets

_EPSILON = 1e-7


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
    """
    present = truth.astype(bool)
    predicted = probabilities >= np.asarray(thresholds, np.float32)
    support = present.sum(axis=0)
    class_f1 = f1_score(present, predicted, average=None, zero_division=0)
    return Metrics(
        data=data,
        fields=len(truth),
        micro_f1=float(f1_score(present, predicted, average="micro", zero_division=0)),
        macro_f1=float(class_f1[support > 0].mean()),
        class_f1=tuple(float(class_f1[label]) if support[label] else None for label in Label),
        support=tuple(int(count) for count in support),
    )
