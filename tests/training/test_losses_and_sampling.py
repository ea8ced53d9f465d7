"""Loss and sampling are their published formulas."""

import keras
import numpy as np
import pytest

from training.data.sampling import COMMON, draw_probabilities, shared_probabilities
from training.fit.losses import LOSSES, asymmetric


def test_the_asymmetric_loss_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((5, 28)) < 0.2).astype(np.float32)
    probabilities = rng.random((5, 28)).astype(np.float32)
    expected = []
    for present, p in zip(truth, probabilities.astype(np.float64), strict=True):
        expected.append(np.mean(np.where(present == 1, -np.log(p), -(p**2) * np.log(1 - p))))
    found = keras.ops.convert_to_numpy(asymmetric(truth, probabilities))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_an_easy_negative_costs_little_a_missed_positive_all() -> None:
    nothing, all_present = np.zeros((1, 28), np.float32), np.ones((1, 28), np.float32)
    easy = np.full((1, 28), 0.04, np.float32)
    assert float(keras.ops.convert_to_numpy(asymmetric(nothing, easy))[0]) == pytest.approx(
        -(0.04**2) * np.log(0.96), rel=1e-4
    )
    assert float(keras.ops.convert_to_numpy(asymmetric(all_present, easy))[0]) == pytest.approx(-np.log(0.04), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_certainty_are_finite(loss: str) -> None:
    certain = np.array([[0.0, 1.0] * 14], np.float32)
    for probabilities in (certain, 1 - certain):
        found = keras.ops.convert_to_numpy(LOSSES[loss](certain, probabilities))  # type: ignore[index]
        assert np.isfinite(found).all()


def test_even_sampling_is_even() -> None:
    np.testing.assert_array_equal(draw_probabilities(np.eye(4, 28, dtype=np.float32), "even"), [0.25] * 4)


def test_repeat_factors_weigh_a_field_by_its_rarest_class() -> None:
    targets = np.zeros((1000, 28), np.float32)
    targets[:, 0] = 1  # common
    targets[:10, 5] = 1  # one in a hundred
    targets[0, 9] = 1  # one in a thousand
    found = draw_probabilities(targets, "repeat_factor")
    assert found.sum() == pytest.approx(1)
    assert found[1] / found[-1] == pytest.approx(np.sqrt(COMMON / 0.01))
    assert found[0] / found[-1] == pytest.approx(np.sqrt(COMMON / 0.001))


def test_old_fields_are_the_named_share_of_all_draws() -> None:
    new, old = np.array([0.5, 0.5]), np.array([0.2, 0.8])
    found = shared_probabilities([new, old], 0.3)
    np.testing.assert_allclose(found, [0.35, 0.35, 0.06, 0.24])
    np.testing.assert_array_equal(shared_probabilities([new], None), new)
