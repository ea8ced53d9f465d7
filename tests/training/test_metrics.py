"""The study's F1 is its formula, and the card's figures are scikit-learn's."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import f1_score

from training.judge.metrics import batch_f1, judge


def study_f1(y_true: npt.NDArray[Any], y_pred: npt.NDArray[Any]) -> float:
    """The study's cell 8, in NumPy."""
    epsilon = 1e-7
    true_positives = np.sum(np.round(np.clip(y_true * y_pred, 0, 1)))
    recall = true_positives / (np.sum(np.round(np.clip(y_true, 0, 1))) + epsilon)
    precision = true_positives / (np.sum(np.round(np.clip(y_pred, 0, 1))) + epsilon)
    return float(2 * ((precision * recall) / (precision + recall + epsilon)))


@pytest.fixture
def truth() -> npt.NDArray[np.float32]:
    return (np.random.default_rng(0).random((30, 28)) < 0.1).astype(np.float32)


@pytest.mark.parametrize("sharpness", [0.0, 0.3, 0.7, 1.0])
def test_batch_f1_is_the_study_s(truth: npt.NDArray[np.float32], sharpness: float) -> None:
    noise = np.random.default_rng(1).random(truth.shape).astype(np.float32)
    probabilities = sharpness * truth + (1 - sharpness) * noise
    probabilities[0, :3] = 0.5
    found = float(keras.ops.convert_to_numpy(batch_f1(truth, probabilities)))
    assert found == pytest.approx(study_f1(truth, probabilities), abs=1e-6)


def test_batch_f1_of_nothing_is_zero() -> None:
    nothing = np.zeros((2, 28), np.float32)
    assert float(keras.ops.convert_to_numpy(batch_f1(nothing, nothing))) == 0


def test_keras_averages_it_over_batches(truth: npt.NDArray[np.float32]) -> None:
    inputs = keras.Input((28,))
    model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    model.compile(loss="mse", metrics=[batch_f1])
    probabilities = np.random.default_rng(2).random(truth.shape).astype(np.float32)
    _, found = model.evaluate(probabilities, truth, batch_size=10, verbose=0)
    expected = [study_f1(truth[at : at + 10], probabilities[at : at + 10]) for at in (0, 10, 20)]
    assert found == pytest.approx(np.mean(expected), abs=1e-6)


def test_the_card_s_figures_are_scikit_learn_s(truth: npt.NDArray[np.float32]) -> None:
    truth[:, 15] = 0
    probabilities = np.random.default_rng(3).random(truth.shape).astype(np.float32)
    thresholds = tuple(np.linspace(0.1, 0.9, 28).tolist())
    metrics = judge(truth, probabilities, thresholds=thresholds, data="d")
    predicted = probabilities >= np.asarray(thresholds, np.float32)
    occurring = truth.sum(axis=0) > 0
    assert metrics.micro_f1 == pytest.approx(f1_score(truth, predicted, average="micro"))
    expected_macro = f1_score(truth[:, occurring], predicted[:, occurring], average="macro", zero_division=0)
    assert metrics.macro_f1 == pytest.approx(expected_macro)
    assert metrics.support == tuple(truth.sum(axis=0).astype(int))
    assert metrics.class_f1[15] is None
    assert metrics.class_f1[0] == pytest.approx(f1_score(truth[:, 0], predicted[:, 0]))
    assert metrics.fields == 30
