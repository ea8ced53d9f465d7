"""Tuned thresholds do better on fields they were not tuned on, and rare classes lean on the common one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import f1_score

from hpa_sdk.labels import Label
from training.judge.metrics import EvaluationError
from training.judge.thresholds import PRIOR_FIELDS, tune_thresholds

RARE = slice(18, None)
"""The classes with fewer than 15 fields among 2,000."""

Draw = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class World:
    """Classes whose logits have two known normal densities each, with a bias and a scale that a network got wrong."""

    shares: npt.NDArray[np.float64]
    separation: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]

    def draw(self, rng: np.random.Generator, count: int) -> Draw:
        truth = rng.random((count, len(Label))) < self.shares
        seen = self.separation * truth + rng.normal(size=truth.shape)
        logits = self.separation * (seen - self.separation / 2) + np.log(self.shares / (1 - self.shares))
        return truth.astype(np.float32), expit(self.scale * logits + self.bias).astype(np.float32)

    def f1(self, thresholds: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The F1 that each class has on endlessly many fields, from the densities."""
        wanted = (np.log(thresholds) - np.log1p(-np.asarray(thresholds)) - self.bias) / self.scale
        cut = (wanted - np.log(self.shares / (1 - self.shares))) / self.separation + self.separation / 2
        hits = self.shares * norm.sf(cut - self.separation)
        alarms = (1 - self.shares) * norm.sf(cut)
        return np.asarray(2 * hits / (hits + alarms + self.shares))


def make_world(seed: int) -> World:
    """Make classes as frequent as those of the Kaggle set: from four in ten to one in a thousand."""
    rng = np.random.default_rng(seed)
    return World(
        shares=np.geomspace(0.4, 0.001, len(Label)),
        separation=rng.uniform(1.5, 3.5, len(Label)),
        bias=rng.normal(0, 0.5, len(Label)),
        scale=np.exp(rng.normal(0, 0.2, len(Label))),
    )


@pytest.fixture(scope="module")
def draws() -> list[tuple[World, Draw]]:
    worlds = [make_world(seed) for seed in range(12)]
    return [(world, world.draw(np.random.default_rng([seed, 1]), 2000)) for seed, world in enumerate(worlds)]


def tuned_f1(draws: list[tuple[World, Draw]], *, prior_fields: float = PRIOR_FIELDS) -> npt.NDArray[np.float64]:
    """Mean F1 of each class on endlessly many other fields."""
    found = [world.f1(tune_thresholds(*draw, prior_fields=prior_fields)) for world, draw in draws]
    return np.asarray(np.mean(found, axis=0))


def test_the_reference_is_right() -> None:
    world = make_world(0)
    truth, probabilities = world.draw(np.random.default_rng(9), 200_000)
    found = f1_score(truth[:, :8], probabilities[:, :8] >= 0.3, average=None)
    np.testing.assert_allclose(found, world.f1((0.3,) * len(Label))[:8], atol=0.01)


def test_tuned_thresholds_beat_fixed_ones_on_other_fields(draws: list[tuple[World, Draw]]) -> None:
    tuned = tuned_f1(draws).mean()
    for fixed in (0.2, 0.5):
        kept = np.mean([world.f1((fixed,) * len(Label)) for world, _ in draws])
        assert tuned > kept + 0.01, fixed


@pytest.mark.slow
def test_rare_classes_gain_by_leaning_on_the_common_threshold(draws: list[tuple[World, Draw]]) -> None:
    leaning, alone, common = (tuned_f1(draws, prior_fields=fields) for fields in (PRIOR_FIELDS, 0, 1e9))
    assert leaning[RARE].mean() > alone[RARE].mean() + 0.02
    assert leaning[RARE].mean() > common[RARE].mean() + 0.01
    assert leaning.mean() > max(alone.mean(), common.mean()) + 0.005


@pytest.mark.slow
def test_no_other_weight_of_the_common_threshold_is_much_better(draws: list[tuple[World, Draw]]) -> None:
    best = max(tuned_f1(draws, prior_fields=fields).mean() for fields in (0, 1, 2, 10, 20, 100, 1000))
    assert tuned_f1(draws).mean() > best - 0.001


def test_with_many_fields_the_thresholds_are_the_best_there_are() -> None:
    world = make_world(1)
    tuned = tune_thresholds(*world.draw(np.random.default_rng(2), 40_000))
    best = np.max([world.f1((cut,) * len(Label)) for cut in np.linspace(0.005, 0.995, 199)], axis=0)
    np.testing.assert_allclose(world.f1(tuned)[:12], best[:12], atol=0.005)


def test_the_formula_is_kept() -> None:
    truth, probabilities = make_world(3).draw(np.random.default_rng(4), 300)
    truth[:, 5] = 0
    alone = np.array(tune_thresholds(truth, probabilities, prior_fields=0))
    found = np.array(tune_thresholds(truth, probabilities, prior_fields=7))
    support = truth.sum(axis=0)
    np.testing.assert_allclose(found, (support * alone + 7 * alone[5]) / (support + 7))
    assert (support == 0).sum() > 1
    assert set(found[support == 0]) == {alone[5]}


@pytest.mark.slow
def test_each_cut_is_the_best_of_all() -> None:
    truth, probabilities = make_world(5).draw(np.random.default_rng(6), 40)
    occurring = np.flatnonzero(truth.sum(axis=0))
    tuned = np.array(tune_thresholds(truth, probabilities, prior_fields=0))
    common = tuned[truth.sum(axis=0) == 0][0]

    def class_f1(thresholds: npt.ArrayLike) -> npt.NDArray[np.float64]:
        predicted = probabilities >= np.asarray(thresholds, np.float32)
        return np.asarray(f1_score(truth, predicted, average=None, zero_division=0))[occurring]

    everywhere = np.array([class_f1(cut) for cut in np.unique(probabilities)])
    np.testing.assert_allclose(class_f1(tuned), everywhere.max(axis=0))
    assert class_f1(common).mean() == pytest.approx(everywhere.mean(axis=1).max())


def test_a_separable_class_is_cut_midway() -> None:
    truth = np.zeros((4, len(Label)), np.float32)
    truth[2:, 0] = 1
    probabilities = np.full_like(truth, 0.125)
    probabilities[:, 0] = 0.0, 0.25, 0.75, 1.0
    assert tune_thresholds(truth, probabilities, prior_fields=0)[0] == 0.5


def test_of_equal_cuts_the_nearest_to_the_common_one_is_taken() -> None:
    truth = np.zeros((5, len(Label)), np.float32)
    truth[[0, 3], 0] = truth[0, 1] = 1
    probabilities = np.zeros_like(truth)
    # F1 is 2/3 both for the first field alone and for the first four; the second class puts the common cut at 0.775.
    probabilities[:, 0] = 0.9, 0.6, 0.5, 0.3, 0.1
    probabilities[:, 1] = 0.85, 0.7, 0.7, 0.7, 0.7
    assert tune_thresholds(truth, probabilities, prior_fields=0)[0] == pytest.approx(0.75)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_uninformative_probabilities_call_every_field_positive(probability: float) -> None:
    truth = np.eye(len(Label), dtype=np.float32)
    tuned = tune_thresholds(truth, np.full_like(truth, probability))
    assert tuned == (probability / 2,) * len(Label)


def test_one_field_is_enough() -> None:
    truth = np.ones((1, len(Label)), np.float32)
    assert tune_thresholds(truth, truth) == (0.5,) * len(Label)


def test_what_can_t_be_tuned_on_is_refused() -> None:
    truth, probabilities = make_world(0).draw(np.random.default_rng(0), 20)
    holed = probabilities.copy()
    holed[3, 3] = np.nan
    with pytest.raises(EvaluationError, match="not a number from 0 to 1"):
        tune_thresholds(truth, holed)
    with pytest.raises(EvaluationError, match="not a number from 0 to 1"):
        tune_thresholds(truth, probabilities + 1)
    with pytest.raises(EvaluationError, match="no field has any class"):
        tune_thresholds(np.zeros_like(truth), probabilities)
    with pytest.raises(EvaluationError, match="other than 0 and 1"):
        tune_thresholds(truth * 2, probabilities)
    with pytest.raises(EvaluationError, match=r"shape \(20, 28\), the probabilities \(19, 28\)"):
        tune_thresholds(truth, probabilities[1:])
    with pytest.raises(EvaluationError, match=r"shape \(0, 28\)"):
        tune_thresholds(truth[:0], probabilities[:0])
    with pytest.raises(EvaluationError, match="prior_fields is -1"):
        tune_thresholds(truth, probabilities, prior_fields=-1)
