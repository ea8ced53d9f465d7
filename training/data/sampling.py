"""Computes how often each field is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from training.data.dataset import Targets

SamplingName = Literal["even", "repeat_factor"]

COMMON = 0.1
"""The share of fields from which a class counts as common, so that its fields are not drawn more often."""


def draw_probabilities(targets: Targets, sampling: SamplingName) -> npt.NDArray[np.float64]:
    """Return the probability of each field in a draw.

    ``"repeat_factor"`` weights a field by its rarest class, max over its classes of max(1, sqrt(t / f)), with f the
    share of fields that have the class and t = `COMMON` (Gupta, Dollar and Girshick, "LVIS", CVPR 2019,
    arXiv:1908.03195, section 5.2). The square root prevents the few fields of the rarest classes from filling every
    batch.

    Parameters
    ----------
    targets : numpy.ndarray
        float32 of shape (fields, 28).
    sampling : str
        ``"even"`` or ``"repeat_factor"``.

    Returns
    -------
    numpy.ndarray
        float64 of shape (fields,), with the sum 1.
    """
    weights = np.ones(len(targets))
    if sampling == "repeat_factor":
        share = np.maximum(targets.mean(axis=0, dtype=np.float64), 1 / len(targets))
        factors = np.maximum(1, np.sqrt(COMMON / share))
        weights = np.maximum(1, (targets * factors).max(axis=1))
    probabilities: npt.NDArray[np.float64] = weights / weights.sum()
    return probabilities


def shared_probabilities(
    probabilities: Sequence[npt.NDArray[np.float64]], share: float | None
) -> npt.NDArray[np.float64]:
    """Join the probabilities of new and of old fields, so that old ones are this share of all draws.

    Parameters
    ----------
    probabilities : sequence of numpy.ndarray
        float64 of shape (fields,), each with the sum 1: of new fields, and of old ones if there are any.
    share : float or None
        Share of the old fields, 0 to 1; None if there are none.

    Returns
    -------
    numpy.ndarray
        float64 of shape (all fields,), with the sum 1.
    """
    shares = (1.0,) if share is None else (1 - share, share)
    return np.concatenate([part * one for part, one in zip(probabilities, shares, strict=True)])
