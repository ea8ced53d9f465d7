"""The temperature is the one that was put in, and the calibration error is its formula."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, log_loss

from hpa_sdk.adapt.temperature import BINS, TEMPERATURES
from hpa_sdk.labels import Label
from hpa_sdk.models.model_card import Calibration
from training.judge.calibration import calibrate, measure_reliability
from training.judge.metrics import EvaluationError

Draw = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def calibrated(draw: Draw) -> Calibration:
    found = calibrate(*draw)
    assert found is not None
    return found


def draw(temperature: float, *, fields: int = 3000, seed: int = 0) -> Draw:
    """Draw truth from probabilities, then return these with their logits multiplied by the temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-2, 2, (fields, len(Label)))
    truth = rng.random(logits.shape) < expit(logits)
    return truth.astype(np.float32), expit(logits * temperature).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_the_temperature_is_found_and_lowers_the_error(temperature: float) -> None:
    found = calibrated(draw(temperature))
    assert found.temperature == pytest.approx(temperature, rel=0.03)
    assert found.fields == 3000
    assert found.error_after < 0.005
    assert found.error_before > 5 * found.error_after


@pytest.mark.parametrize(("temperature", "fields"), [(1.0, 3000), (1.03, 3000), (1.3, 20), (2.5, 4)])
def test_a_temperature_within_chance_is_not_written(temperature: float, fields: int) -> None:
    assert calibrate(*draw(temperature, fields=fields)) is None


def test_no_other_temperature_has_a_lower_cross_entropy() -> None:
    truth, probabilities = draw(1.7, fields=200)
    logits = np.log(probabilities / (1 - probabilities)).astype(np.float64)
    found = calibrated((truth, probabilities)).temperature

    def loss(temperature: float) -> float:
        return float(log_loss(truth.ravel(), expit(logits / temperature).ravel()))

    assert loss(found) < min(loss(found * 1.02), loss(found / 1.02))


def test_it_holds_on_other_fields_and_keeps_their_order() -> None:
    temperature = calibrated(draw(2.0)).temperature
    truth, probabilities = draw(2.0, seed=1)
    before = measure_reliability(truth, probabilities)
    after = measure_reliability(truth, probabilities, temperature=temperature)
    assert after.error < before.error / 5
    cooled = expit(np.log(probabilities / (1 - probabilities)) / temperature)
    assert average_precision_score(truth, cooled) == pytest.approx(
        average_precision_score(truth, probabilities), abs=1e-6
    )


def test_bins_are_scikit_learn_s_and_the_error_is_the_paper_s() -> None:
    truth, probabilities = draw(2.0)
    found = measure_reliability(truth, probabilities)
    filled = [bin_ for bin_ in found.bins if bin_.decisions]
    frequency, mean = calibration_curve(truth.ravel(), probabilities.ravel(), n_bins=BINS)
    assert [bin_.frequency for bin_ in filled] == pytest.approx(frequency)
    assert [bin_.mean_probability for bin_ in filled] == pytest.approx(mean, rel=1e-5)
    expected = 0.0
    for low in np.arange(BINS) / BINS:
        inside = (probabilities > low) & (probabilities <= low + 1 / BINS)
        expected += inside.mean() * abs(truth[inside].mean() - probabilities[inside].mean())
    assert found.error == pytest.approx(expected, abs=1e-6)
    assert sum(bin_.decisions for bin_ in found.bins) == truth.size


def test_a_bin_without_decisions_says_so() -> None:
    truth = np.eye(len(Label), dtype=np.float32)
    found = measure_reliability(truth, truth)
    assert found.error == 0
    assert [bin_.decisions for bin_ in found.bins] == [28 * 27, *[0] * (BINS - 2), 28]
    assert found.bins[1].frequency is None
    assert found.bins[1].mean_probability is None


@pytest.mark.parametrize(("turned", "end"), [(False, TEMPERATURES[0]), (True, TEMPERATURES[1])])
def test_saturated_answers_give_a_finite_temperature(*, turned: bool, end: float) -> None:
    truth = np.eye(len(Label), dtype=np.float32)
    found = calibrated((truth, 1 - truth if turned else np.clip(truth, 0.25, 0.75)))
    assert found.temperature == pytest.approx(end, rel=0.01)


def test_what_can_t_be_judged_is_refused() -> None:
    truth, probabilities = draw(1.0, fields=5)
    with pytest.raises(EvaluationError, match="not a number from 0 to 1"):
        calibrate(truth, probabilities * np.nan)
