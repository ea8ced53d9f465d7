"""Tunes the threshold of each class; thresholds of rare classes are drawn toward a common one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_curve

from hpa_sdk.labels import Label
from hpa_sdk.prediction import Probabilities
from training.data.dataset import Targets
from training.judge.metrics import EvaluationError, Present, check_judged

PRIOR_FIELDS = 5.0
"""Weight of the common threshold, as a number of fields of a class.

Macro F1 on other draws from a known model is flat around this number. It is lower at 0, where the threshold of a rare
class depends on the chance of its few fields, and at infinity, where all share one (tests/training/test_thresholds.py).
"""

_Numbers = npt.NDArray[np.floating[Any]]


def tune_thresholds(
    truth: Targets, probabilities: Probabilities, *, prior_fields: float = PRIOR_FIELDS
) -> tuple[float, ...]:
    """Tune the threshold of each class for F1, drawn toward a common threshold where the class is rare.

    A class with n fields gets (n * t_class + k * t_common) / (n + k), with k = `prior_fields`. t_class maximises the
    class's own F1. t_common is the one threshold for all classes that maximises macro F1, and not micro F1: micro F1
    depends on the frequent classes, but t_common matters for the rare ones, whose probabilities are lower. A class
    without a field gets t_common.

    A cut lies midway between two neighbouring probabilities; among equally good cuts the nearest to t_common is taken.
    If the probabilities carry no information, the cut with the best F1 makes every field positive
    (Lipton, Elkan and Naryanaswamy, "Optimal Thresholding of Classifiers to Maximize F1 Measure", ECML PKDD 2014).

    Parameters
    ----------
    truth, probabilities : numpy.ndarray
        float32 of shape (fields, 28), of fields that the network was not fitted on.
    prior_fields : float
        Weight of the common threshold, in fields; 0 for independent classes.

    Returns
    -------
    tuple of float
        28 thresholds, 0 to 1; a class is present if ``probability >= threshold``.

    Raises
    ------
    EvaluationError
        The arrays can't be judged (see `check_judged`), or `prior_fields` is below 0.
    """
    present, probabilities = check_judged(truth, probabilities)
    if prior_fields < 0:
        raise EvaluationError(f"prior_fields is {prior_fields:g}", remedy="Give 0 or a number above it.")
    support = present.sum(axis=0)
    curves = {label: _f1_curve(present[:, label], probabilities[:, label]) for label in Label if support[label]}
    common = _common_threshold(curves.values(), present, probabilities)
    best = {label: curve.best_cut(common) for label, curve in curves.items()}
    return tuple(
        float((support[label] * best[label] + prior_fields * common) / (support[label] + prior_fields))
        if label in best
        else common
        for label in Label
    )


@dataclass(frozen=True, slots=True)
class _F1Curve:
    """F1 of one class at every cut that changes it: ``probability >= score`` has ``f1``; scores ascend."""

    scores: _Numbers
    f1: _Numbers

    def at(self, thresholds: _Numbers) -> _Numbers:
        """Return the F1 at any thresholds; above the highest score nothing is predicted, and F1 is 0."""
        f1: _Numbers = np.append(self.f1, 0.0)
        return f1[np.searchsorted(self.scores, thresholds)]

    def best_cut(self, near: float) -> float:
        """Return the best cut, and of several equally good ones the nearest to a threshold."""
        cuts = _cuts(self.scores)[np.isclose(self.f1, self.f1.max(), rtol=1e-12, atol=0)]
        return float(cuts[np.abs(cuts - near).argmin()])


def _f1_curve(present: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float32]) -> _F1Curve:
    precision, recall, scores = precision_recall_curve(present, probabilities)
    # The last point of scikit-learn's curve has no score.
    product, total = (precision * recall)[:-1], (precision + recall)[:-1]
    return _F1Curve(scores, 2 * np.divide(product, total, out=np.zeros_like(product), where=total > 0))


def _common_threshold(curves: Iterable[_F1Curve], present: Present, probabilities: Probabilities) -> float:
    """Return the threshold with the best macro F1.

    Between two probabilities of positive fields, a lower cut only adds false positives: so the best cut lies just below
    one of these.
    """
    candidates = np.unique(probabilities[present])
    best = candidates[np.mean([curve.at(candidates) for curve in curves], axis=0).argmax()]
    scores = np.unique(probabilities)
    return float(_cuts(scores)[np.searchsorted(scores, best)])


def _cuts(scores: _Numbers) -> _Numbers:
    """Return the cut below each of some ascending scores, midway to the previous score."""
    wide = scores.astype(np.float64)
    return wide - np.diff(wide, prepend=0.0) / 2
