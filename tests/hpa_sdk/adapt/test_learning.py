"""Figures, regression and thresholds agree with independent references."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score

from hpa_sdk.adapt.choice import LEAST_FOR_LAYER, Fields, candidates, choose
from hpa_sdk.adapt.figures import bootstrap_weights, macro_average_precision, macro_f1
from hpa_sdk.adapt.regression import refit
from hpa_sdk.adapt.thresholds import PRIOR_FIELDS, tune_thresholds

Numbers = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

RNG = np.random.default_rng(5)
TRUTH = RNG.random((40, 3)) < (0.2, 0.4, 0.6)
SCORES = np.round(RNG.normal(0, 1, (40, 3)) + TRUTH, 1)  # rounded, so that some are equal


def test_figures_are_those_of_scikit_learn() -> None:
    weights = bootstrap_weights(40, 20)
    predicted = SCORES > 0.3
    f1 = macro_f1(TRUTH, predicted, weights)
    order = macro_average_precision(TRUTH, SCORES, weights)
    for draw, drawn in enumerate(weights):
        rows = np.repeat(np.arange(40), drawn.astype(int))
        expected = f1_score(TRUTH[rows], predicted[rows], average="macro")
        assert f1[draw] == pytest.approx(expected)
        expected = average_precision_score(TRUTH[rows], SCORES[rows], average="macro")
        assert order[draw] == pytest.approx(expected)


def _scaled(embeddings: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Numbers:
    """Half whiten embeddings: multiply them by the inverse fourth root of their covariance; mean squared length 1."""
    centred = embeddings.astype(np.float64) - embeddings.mean(axis=0, dtype=np.float64)
    variances, axes = np.linalg.eigh(centred.T @ centred)
    kept = variances > 1e-10 * variances.max()
    along = centred @ axes[:, kept] / variances[kept] ** 0.25
    return np.asarray(along / np.sqrt((along**2).sum(axis=1).mean()))


def test_a_refit_from_nothing_is_a_logistic_regression() -> None:
    embeddings = RNG.normal(0, 1, (40, 90)).astype(np.float32)
    inputs = _scaled(embeddings)
    step = refit(embeddings, np.zeros((40, 3)), TRUTH, 2.0)
    # liblinear penalizes the bias as a weight of a feature that is 1.
    reference = LogisticRegression(C=4.0, solver="liblinear", tol=1e-10, max_iter=10_000)
    for label in range(3):
        fitted = reference.fit(inputs, TRUTH[:, label])
        expected = fitted.decision_function(inputs)
        np.testing.assert_allclose(step.of(embeddings)[:, label], expected, atol=2e-3)


def test_a_refit_stays_near_the_old_layer() -> None:
    embeddings, old = RNG.normal(0, 1, (40, 6)).astype(np.float32), RNG.normal(0, 2, (40, 3))
    inputs = np.column_stack([_scaled(embeddings), np.ones(40)])

    def objective(change: Numbers) -> float:
        logits = old[:, 1] + inputs @ change
        return float(np.logaddexp(0, logits).sum() - logits[TRUTH[:, 1]].sum() + (change**2).sum() / 2 / 0.5**2)

    expected = inputs @ minimize(objective, np.zeros(7), tol=1e-12).x
    np.testing.assert_allclose(refit(embeddings, old, TRUTH, 0.5).of(embeddings)[:, 1], expected, atol=1e-3)
    assert np.abs(refit(embeddings, old, TRUTH, 1e-3).of(embeddings)).max() < 1e-3


def test_thresholds_are_drawn_to_the_old_ones() -> None:
    logits = np.array([[-3.0, 0.0], [-2.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    truth = np.array([[False, False], [True, False], [True, False], [True, False]])
    # The best cut of the first class lies at -2.5. One shift of all by -2 is the nearest that gives it too.
    tuned = tune_thresholds(truth, logits, np.array([0.0, 0.7]))
    assert tuned[0] == pytest.approx((3 * -2.5 + PRIOR_FIELDS * -2.0) / (3 + PRIOR_FIELDS))
    assert tuned[1] == 0.7, "no field has the class"


def test_noise_is_seldom_taken_for_better() -> None:
    taken = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        logits = rng.normal(-1, 2, (50, 6))
        truth = rng.random((50, 6)) < 1 / (1 + np.exp(-logits))  # as likely as the old model says
        embeddings = rng.normal(0, 1, (50, 20)).astype(np.float32)
        fields = Fields(truth=truth, logits=logits, embeddings=embeddings, thresholds=np.full(6, -0.7), old_classes=6)
        taken += choose(candidates(fields)) is not None
    assert taken == 0


@pytest.mark.parametrize(
    ("count", "names"), [(LEAST_FOR_LAYER - 1, ["thresholds"]), (LEAST_FOR_LAYER, ["thresholds", "last layer"])]
)
def test_few_fields_leave_the_last_layer(count: int, names: list[str]) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((count, 2)) < 0.5
    embeddings = (truth + rng.normal(0, 0.1, truth.shape)).astype(np.float32)
    fields = Fields(
        truth=truth, logits=np.zeros((count, 2)), embeddings=embeddings, thresholds=np.zeros(2), old_classes=2
    )
    assert [way.name for way in candidates(fields)] == names
