"""Computes figures of accuracy for many bootstrap draws at once, and the interval of a difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Present = npt.NDArray[np.bool_]
"""bool of shape (fields, classes): whether the field has the class, or whether it was predicted."""

Numbers = npt.NDArray[np.floating[Any]]

DRAWS = 1000
"""Bootstrap draws for an interval."""

_OUTSIDE = (2.5, 97.5)  # percent


def bootstrap_weights(fields: int, draws: int = DRAWS, seed: int = 0) -> npt.NDArray[np.float64]:
    """Draw how often each field counts: float64 of shape (1 + draws, fields). In the first row each counts once."""
    drawn = np.random.default_rng(seed).multinomial(fields, np.full(fields, 1 / fields), draws)
    return np.concatenate([np.ones((1, fields)), drawn])


def macro_f1(truth: Present, predicted: Present, weights: Numbers) -> Numbers:
    """Return the mean F1 over the classes, for each row of weights; a class counts in draws that have a field of it.

    Parameters
    ----------
    truth, predicted : numpy.ndarray
        bool of shape (fields, classes).
    weights : numpy.ndarray
        float of shape (draws, fields).
    """
    positive, found = weights @ truth, weights @ predicted
    f1 = 2 * (weights @ (truth & predicted)) / np.maximum(positive + found, np.finfo(np.float64).tiny)
    return _mean_where(positive > 0, f1)


def macro_average_precision(truth: Present, scores: Numbers, weights: Numbers) -> Numbers:
    """Return the mean average precision over the classes, for each row of weights, as scikit-learn defines it.

    Parameters
    ----------
    truth : numpy.ndarray
        bool of shape (fields, classes).
    scores : numpy.ndarray
        float of shape (fields, classes); higher for likelier.
    weights : numpy.ndarray
        float of shape (draws, fields).
    """
    by_class = np.stack(
        [_average_precision(truth[:, at], scores[:, at], weights) for at in range(truth.shape[1])], axis=1
    )
    return _mean_where(weights @ truth > 0, by_class)


def _average_precision(truth: Present, scores: Numbers, weights: Numbers) -> Numbers:
    order = np.argsort(-scores, kind="stable")
    falling = -scores[order]
    drawn = weights[:, order]
    # Fields with equal scores are found at once.
    last = np.searchsorted(falling, falling, side="right") - 1
    hits = drawn * truth[order]
    all_found = np.maximum(np.cumsum(drawn, axis=1)[:, last], np.finfo(np.float64).tiny)
    precision = np.cumsum(hits, axis=1)[:, last] / all_found
    whole = np.maximum(hits.sum(axis=1), np.finfo(np.float64).tiny)
    average: Numbers = (precision * hits).sum(axis=1) / whole
    return average


def _mean_where(counted: Present, figures: Numbers) -> Numbers:
    mean: Numbers = (figures * counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    return mean


@dataclass(frozen=True, slots=True)
class Change:
    """A figure before and after, for all bootstrap draws; the first entry is that of the fields as they are.

    Attributes
    ----------
    before, after : numpy.ndarray
        float of shape (1 + draws,).
    """

    before: Numbers
    after: Numbers

    @property
    def gain(self) -> float:
        """The difference on the fields as they are."""
        return float(self.after[0] - self.before[0])

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference."""
        low, high = np.percentile((self.after - self.before)[1:], _OUTSIDE)
        return float(low), float(high)

    def exceeds_chance(self, level: float) -> bool:
        """Whether at most this share of the draws shows no gain."""
        return bool(((self.after - self.before)[1:] <= 0).mean() <= level)
