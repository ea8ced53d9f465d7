"""Refits the last layer of a network by logistic regression that is held near the old weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from hpa_sdk.adapt.figures import Present
from hpa_sdk.adapt.folds import folds_of

Numbers = npt.NDArray[np.float64]

FREEDOMS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""How far the new layer may move from the old one, to choose from: see `refit`."""

_RANK = 1e-6  # singular values below this share of the largest are rounding of float32
_ITERATIONS = 500
_TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True)
class Step:
    """The change of a last layer: ``logits += embeddings @ weights + bias``.

    Attributes
    ----------
    weights : numpy.ndarray
        float64 of shape (width, classes).
    bias : numpy.ndarray
        float64 of shape (classes,).
    """

    weights: Numbers
    bias: Numbers

    def of(self, embeddings: npt.NDArray[np.floating[Any]]) -> Numbers:
        """Return what it adds to the logits: float64 of shape (fields, classes)."""
        added: Numbers = embeddings.astype(np.float64) @ self.weights + self.bias
        return added


def refit(embeddings: npt.NDArray[np.float32], logits: Numbers, truth: Present, freedom: float) -> Step:
    """Refit the last layer for some classes.

    For each class this minimizes the binary cross-entropy, summed over the fields, plus ``|v|^2 / (2 freedom^2)``,
    where v is the difference to the old weights, along the principal axes of the embeddings, and to the old bias. Along
    each axis the embeddings are divided by the root of their standard deviation there: between plain ridge regression,
    which leaves axes with little variance as they are, and whitening, which makes all of them equal. Their unit is that
    in which the mean squared length of an embedding is then 1. So `freedom` is the standard deviation, in logits, of
    the change that is expected before any field is seen: the ridge penalty is the logarithm of a normal prior around
    the old layer.

    Parameters
    ----------
    embeddings : numpy.ndarray
        float32 of shape (fields, width).
    logits : numpy.ndarray
        float64 of shape (fields, classes): those of the old layer.
    truth : numpy.ndarray
        bool of shape (fields, classes).
    freedom : float
        Above 0.
    """
    space = _Space(embeddings)
    return space.step(space.minimum(logits, truth, freedom))


class _Space:
    """The space of the fields: with fewer fields than features the solution lies in it, and it is much smaller."""

    def __init__(self, embeddings: npt.NDArray[np.float32]) -> None:
        self._mean = embeddings.mean(axis=0, dtype=np.float64)
        left, lengths, axes = np.linalg.svd(embeddings - self._mean, full_matrices=False)
        kept = lengths > max(_RANK * lengths[0], float(np.finfo(np.float32).tiny))
        spreads = left[:, kept] * np.sqrt(lengths[kept])
        unit = np.sqrt((spreads**2).sum(axis=1).mean()) if kept.any() else 1.0
        self._axes = axes[kept] / (unit * np.sqrt(lengths[kept]))[:, np.newaxis]
        self._inputs = np.column_stack([spreads / unit, np.ones(len(left))])

    def minimum(self, logits: Numbers, truth: Present, freedom: float, start: Numbers | None = None) -> Numbers:
        shape = self._inputs.shape[1], truth.shape[1]

        def objective(flat: Numbers) -> tuple[float, Numbers]:
            change = flat.reshape(shape)
            moved = logits + self._inputs @ change
            loss = np.logaddexp(0, moved).sum() - moved[truth].sum() + (change**2).sum() / (2 * freedom**2)
            return float(loss), (self._inputs.T @ (expit(moved) - truth) + change / freedom**2).ravel()

        options = {"maxiter": _ITERATIONS, "ftol": _TOLERANCE}
        begin = np.zeros(shape) if start is None else start
        found: Numbers = minimize(objective, begin.ravel(), jac=True, method="L-BFGS-B", options=options).x
        return found.reshape(shape)

    def step(self, found: Numbers) -> Step:
        weights: Numbers = self._axes.T @ found[:-1]
        return Step(weights, found[-1] - self._mean @ weights)


def cross_entropy(truth: Present, logits: Numbers) -> Numbers:
    """Return the binary cross-entropy of each decision: float64 of the shape of `logits`."""
    loss: Numbers = np.logaddexp(0, logits) - truth * logits
    return loss


@dataclass(frozen=True, slots=True)
class Refit:
    """A refitted layer.

    Attributes
    ----------
    step : Step
        The change.
    freedom : float
        The chosen freedom; 0 if no change at all is best.
    held_out : numpy.ndarray
        float64 of shape (fields, classes): the logits of each field by a layer that was not fitted on it.
    """

    step: Step
    freedom: float
    held_out: Numbers


def choose_freedom(
    embeddings: npt.NDArray[np.float32],
    logits: Numbers,
    truth: Present,
    *,
    freedoms: Sequence[float] = FREEDOMS,
    seed: int = 0,
) -> Refit:
    """Refit with the freedom whose cross-entropy is lowest in cross-validation; parameters as for `refit`."""
    held_out = {0.0: logits} | {freedom: logits.copy() for freedom in freedoms}
    for rest, fold in folds_of(truth, seed):
        space, found = _Space(embeddings[rest]), None
        for freedom in freedoms:
            found = space.minimum(logits[rest], truth[rest], freedom, found)
            held_out[freedom][fold] += space.step(found).of(embeddings[fold])
    best = min(held_out, key=lambda freedom: float(cross_entropy(truth, held_out[freedom]).mean()))
    if not best:
        width, classes = embeddings.shape[1], truth.shape[1]
        return Refit(Step(np.zeros((width, classes)), np.zeros(classes)), best, logits)
    return Refit(refit(embeddings, logits, truth, best), best, held_out[best])
