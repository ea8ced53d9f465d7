"""Measures the calibration of probabilities, and finds the temperature that improves it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from hpa_sdk.adapt.choice import LEAST_SHARPER, is_learned, judge_temperature
from hpa_sdk.adapt.folds import FOLDS
from hpa_sdk.adapt.temperature import BINS, calibration_error, reliability
from hpa_sdk.models.model_card import Calibration
from hpa_sdk.prediction import Probabilities, log_odds
from training.data.dataset import Targets
from training.judge.metrics import check_judged


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """The decisions whose probability lies in one bin.

    Attributes
    ----------
    low, high : float
        Bounds of the probability; the lower bound itself belongs to the bin below.
    decisions : int
        Number of pairs of a field and a class.
    mean_probability, frequency : float or None
        Mean of their probabilities, and the share that is present in truth; None if there is no decision.
    """

    low: float
    high: float
    decisions: int
    mean_probability: float | None
    frequency: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How probabilities compare with frequencies.

    Attributes
    ----------
    temperature : float
        The divisor of the logits.
    error : float
        Expected calibration error, 0 to 1.
    bins : tuple of ReliabilityBin
        In ascending order.
    """

    temperature: float
    error: float
    bins: tuple[ReliabilityBin, ...]


def calibrate(truth: Targets, probabilities: Probabilities) -> Calibration | None:
    """Fit one temperature by which the logits of all classes are divided, if it is better than none.

    It minimises the binary cross-entropy over all decisions, as Guo et al. minimise the negative log-likelihood. The
    division does not change the order of the probabilities of a class, so average precision does not change. It is
    judged as in ``hpa adapt``: by cross-validation, on fields that the temperature was not fitted on.

    Parameters
    ----------
    truth, probabilities : numpy.ndarray
        float32 of shape (fields, 28), of fields that the network was not fitted on.

    Returns
    -------
    Calibration or None
        None if the cross-entropy of held-out fields is not lower by more than chance, and by
        `hpa_sdk.adapt.choice.LEAST_SHARPER`, or if there are fewer fields than folds.

    Raises
    ------
    EvaluationError
        The arrays can't be judged; see `check_judged`.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
    """
    present, probabilities = check_judged(truth, probabilities)
    if len(present) < FOLDS:
        return None
    temperature, sharper = judge_temperature(present, log_odds(probabilities).astype(np.float64), 1.0)
    if not is_learned(sharper, LEAST_SHARPER):
        return None
    return Calibration(
        temperature=temperature,
        fields=len(present),
        error_before=measure_reliability(truth, probabilities).error,
        error_after=measure_reliability(truth, probabilities, temperature=temperature).error,
    )


def measure_reliability(truth: Targets, probabilities: Probabilities, *, temperature: float = 1.0) -> Reliability:
    """Compare probabilities with frequencies, bin by bin.

    Each pair of a field and a class is one decision. The expected calibration error is the sum over the bins of
    (decisions in the bin / all decisions) * abs(frequency - mean probability): Guo et al., equation 3, with the
    probability of presence instead of the confidence in the likeliest class, since here every class is a separate
    decision. Most decisions are clear absences, so the lowest bin has the largest weight.

    Parameters
    ----------
    truth, probabilities : numpy.ndarray
        float32 of shape (fields, 28).
    temperature : float
        Divides the logits first; 1 leaves the probabilities as they are.

    Raises
    ------
    EvaluationError
        The arrays can't be judged; see `check_judged`.
    """
    present, probabilities = check_judged(truth, probabilities)
    scores = (probabilities if temperature == 1 else expit(log_odds(probabilities) / temperature)).ravel()
    decisions, sums, hits = reliability(present, scores)
    edges = np.linspace(0, 1, BINS + 1)
    return Reliability(
        temperature=temperature,
        error=calibration_error(present, scores),
        bins=tuple(
            ReliabilityBin(
                low=float(edges[at]),
                high=float(edges[at + 1]),
                decisions=int(count),
                mean_probability=float(sums[at] / count) if count else None,
                frequency=float(hits[at] / count) if count else None,
            )
            for at, count in enumerate(decisions)
        ),
    )
