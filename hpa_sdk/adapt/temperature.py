"""Finds the temperature by which probabilities agree better with frequencies, and measures how well they agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

BINS = 15
"""Bins of equal width between 0 and 1, as in Guo et al. 2017."""

TEMPERATURES = (0.05, 20.0)
"""Search range of the temperature. If truth and probabilities agree or disagree in all, the result is near a bound."""

Numbers = npt.NDArray[np.floating[Any]]


def fit_temperature(truth: npt.NDArray[np.bool_], logits: Numbers) -> float:
    """Find the temperature with the lowest binary cross-entropy over all decisions; the logits are divided by it.

    Guo et al. minimise the negative log-likelihood in the same way. The division does not change the order of the
    probabilities of a class, so average precision does not change.

    Parameters
    ----------
    truth : numpy.ndarray
        bool of shape (fields, classes).
    logits : numpy.ndarray
        float of shape (fields, classes), of fields that the network was not fitted on.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
    """

    def cross_entropy(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, scaled) - truth * scaled))

    found = minimize_scalar(cross_entropy, bounds=tuple(np.log(TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))


def reliability(
    truth: npt.NDArray[np.bool_], probabilities: Numbers
) -> tuple[npt.NDArray[np.signedinteger[Any]], Numbers, Numbers]:
    """Count decisions, add up probabilities, and count true classes in each bin; the lower bound is not in a bin.

    Parameters
    ----------
    truth : numpy.ndarray
        bool of shape (fields, classes).
    probabilities : numpy.ndarray
        float of shape (fields, classes), 0 to 1.

    Returns
    -------
    decisions, sums, hits : numpy.ndarray
        Of shape (`BINS`,).
    """
    scores = probabilities.ravel()
    bins = np.clip(np.ceil(scores * BINS).astype(int) - 1, 0, BINS - 1)
    sums = np.bincount(bins, weights=scores, minlength=BINS).astype(np.float64)
    hits = np.bincount(bins, weights=truth.ravel(), minlength=BINS).astype(np.float64)
    return np.bincount(bins, minlength=BINS), sums, hits


def calibration_error(truth: npt.NDArray[np.bool_], probabilities: Numbers) -> float:
    """Return the expected calibration error, 0 to 1: Guo et al., equation 3, with each decision as one sample."""
    _, sums, hits = reliability(truth, probabilities)
    return float(np.abs(hits - sums).sum() / probabilities.size)
