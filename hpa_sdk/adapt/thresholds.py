"""Tunes thresholds on few fields, drawn toward the old ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hpa_sdk.adapt.figures import Present, macro_f1

PRIOR_FIELDS = 5.0
"""Weight of the old threshold, as a number of fields of a class; as in `training.judge.thresholds`."""

_SHIFTS = np.arange(-4, 4.01, 0.25)
"""Common shifts of all thresholds to choose from, in logits."""

Numbers = npt.NDArray[np.floating[Any]]


def tune_thresholds(truth: Present, logits: Numbers, old: Numbers) -> npt.NDArray[np.float64]:
    """Tune the threshold of each class that a field has, for F1.

    A new microscope moves the logits of many classes in one direction, so first one shift of all thresholds is found
    that gives the best macro F1. Then a class with n fields gets (n * best + k * shifted) / (n + k), in logits, with
    k = `PRIOR_FIELDS`. Of equally good cuts, the nearest to the old ones is taken. A class without a field keeps its
    threshold.

    Parameters
    ----------
    truth : numpy.ndarray
        bool of shape (fields, classes).
    logits : numpy.ndarray
        float of shape (fields, classes), by a layer that was not fitted on these fields.
    old : numpy.ndarray
        float of shape (classes,): the old thresholds, in logits.

    Returns
    -------
    numpy.ndarray
        float64 of shape (classes,), in logits.
    """
    tuned = old.astype(np.float64)
    seen = np.flatnonzero(truth.any(axis=0))
    once = np.ones((1, len(truth)))
    shifts = _SHIFTS[np.argsort(np.abs(_SHIFTS), kind="stable")]
    scores = [macro_f1(truth[:, seen], logits[:, seen] >= old[seen] + shift, once)[0] for shift in shifts]
    tuned[seen] += shifts[int(np.argmax(scores))]
    for label in seen:
        fields = truth[:, label].sum()
        best = _best_cut(truth[:, label], logits[:, label], tuned[label])
        tuned[label] = (fields * best + PRIOR_FIELDS * tuned[label]) / (fields + PRIOR_FIELDS)
    return tuned


def _best_cut(truth: Present, logits: Numbers, near: float) -> float:
    scores = np.unique(logits)
    cuts = np.concatenate([scores[:1] - 1, (scores[1:] + scores[:-1]) / 2, scores[-1:] + 1])
    predicted = logits[:, np.newaxis] >= cuts
    f1 = 2 * (predicted & truth[:, np.newaxis]).sum(axis=0) / (truth.sum() + predicted.sum(axis=0))
    best = cuts[np.isclose(f1, f1.max(), rtol=1e-12, atol=0)]
    return float(best[np.abs(best - near).argmin()])
