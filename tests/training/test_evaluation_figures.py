"""The figures of an evaluation are their formulas."""

from dataclasses import replace

import keras
import numpy as np
import numpy.typing as npt
import pytest

from hpa_sdk.labels import Label
from tests.training.test_evaluation import THRESHOLDS
from training.judge.evaluation import judge_fields
from training.judge.metrics import RECALLS, EvaluationError, judge


def draw(fields: int = 57) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    rng = np.random.default_rng(3)
    truth = (rng.random((fields, len(Label))) < 0.15).astype(np.float32)
    truth[:, [4, 15]] = 0
    # Two digits, so that probabilities tie, and some are 0.5.
    return truth, np.clip(0.3 * truth + 0.7 * rng.random(truth.shape), 0, 1).round(2).astype(np.float32)


def counts(truth: npt.NDArray[np.float32], predicted: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Precision, recall and F1 from hits, false alarms and misses."""
    hits = np.sum(predicted & (truth == 1))
    alarms, misses = np.sum(predicted & (truth == 0)), np.sum(~predicted & (truth == 1))
    return np.array(
        [
            hits / (hits + alarms) if hits + alarms else 0,
            hits / (hits + misses),
            2 * hits / (2 * hits + alarms + misses),
        ]
    )


def area(truth: npt.NDArray[np.float32], probabilities: npt.NDArray[np.float32]) -> float:
    """Average precision: the sum over falling thresholds of precision times the gain in recall."""
    total, before = 0.0, 0.0
    for threshold in np.unique(probabilities)[::-1]:
        precision, recall, _ = counts(truth, probabilities >= threshold)
        total, before = total + precision * (recall - before), recall
    return total


def test_the_figures_are_their_formulas() -> None:
    truth, probabilities = draw()
    found = judge_fields(truth, probabilities, thresholds=THRESHOLDS, data="d")
    predicted = probabilities >= np.asarray(THRESHOLDS, np.float32)
    occurring = [label for label in Label if truth[:, label].any()]
    by_class = {label: counts(truth[:, label], predicted[:, label]) for label in occurring}
    areas = {label: area(truth[:, label], probabilities[:, label]) for label in occurring}
    for label in occurring:
        figures = found.classes[label]
        assert [figures.precision, figures.recall, figures.f1] == pytest.approx(by_class[label])
        assert figures.average_precision == pytest.approx(areas[label])
        assert (figures.support, figures.predicted) == (truth[:, label].sum(), predicted[:, label].sum())
    micro, macro = found.micro, found.macro
    np.testing.assert_allclose([micro.precision, micro.recall, micro.f1], counts(truth, predicted))
    np.testing.assert_allclose([macro.precision, macro.recall, macro.f1], np.mean(list(by_class.values()), axis=0))
    assert micro.average_precision == pytest.approx(area(truth.ravel(), probabilities.ravel()))
    assert macro.average_precision == pytest.approx(np.mean(list(areas.values())))
    assert (found.data, found.fields) == ("d", 57)


def test_a_class_without_a_field_is_reported_and_not_counted() -> None:
    truth, probabilities = draw()
    found = judge_fields(truth, probabilities, thresholds=THRESHOLDS, data="d")
    assert found.without_field == ("Nuclear speckles", "Microtubule ends")
    silent = found.classes[4]
    assert silent.support == 0
    assert silent.predicted > 0
    assert {silent.f1, silent.precision, silent.recall, silent.average_precision, silent.precision_at_recall} == {None}
    quiet = probabilities.copy()
    quiet[:, [4, 15]] = 0
    # Its false alarms weigh in the micro figures, and not in the macro ones.
    better = judge_fields(truth, quiet, thresholds=THRESHOLDS, data="d")
    assert better.macro == found.macro
    assert better.micro.precision > found.micro.precision


def test_accuracy_and_batch_f1_are_keras_and_the_study_s() -> None:
    truth, probabilities = draw()
    found = judge_fields(truth, probabilities, thresholds=THRESHOLDS, data="d")
    accuracy = keras.metrics.BinaryAccuracy()
    accuracy.update_state(truth, probabilities)
    assert found.binary_accuracy == pytest.approx(float(accuracy.result()), abs=1e-6)
    f1 = [counts(truth[at : at + 10], probabilities[at : at + 10] > 0.5)[2] for at in range(0, 57, 10)]
    assert found.batch_f1 == pytest.approx(np.mean(f1), abs=1e-6)


def test_the_curve_has_the_precision_at_each_reached_recall() -> None:
    truth, probabilities = draw()
    truth[0, 2], probabilities[0, 2] = 0, 1
    found = judge_fields(truth, probabilities, thresholds=THRESHOLDS, data="d").classes
    for label in (label for label in Label if truth[:, label].any()):
        held, scores = truth[:, label], probabilities[:, label]
        points = [counts(held, scores >= cut)[:2] for cut in np.unique(scores)[::-1]]
        expected = [next(precision for precision, recall in points if recall >= wanted) for wanted in RECALLS]
        assert found[label].precision_at_recall == pytest.approx(expected)


def test_pairs_are_counted_in_truth_and_as_predicted() -> None:
    truth, probabilities = draw()
    found = judge_fields(truth, probabilities, thresholds=THRESHOLDS, data="d")
    assert found.pairs[0][3] == sum(row[0] == 1 == row[3] for row in truth)
    assert found.pairs[7][7] == truth[:, 7].sum()
    assert found.predicted_pairs[1][2] == sum(
        row[1] >= np.float32(THRESHOLDS[1]) and row[2] >= np.float32(THRESHOLDS[2]) for row in probabilities
    )


def test_reliability_is_shown_at_the_card_s_temperature_too() -> None:
    truth, probabilities = draw()
    plain = judge_fields(truth, probabilities, thresholds=THRESHOLDS, data="d")
    warm = judge_fields(truth, probabilities, thresholds=THRESHOLDS, data="d", temperature=2.0)
    assert [found.temperature for found in plain.reliability] == [1]
    assert [found.temperature for found in warm.reliability] == [1, 2]
    assert replace(warm, reliability=()) == replace(plain, reliability=())


def test_the_card_s_metrics_are_the_same_figures() -> None:
    truth, probabilities = draw()
    found = judge_fields(truth, probabilities, thresholds=THRESHOLDS, data="d")
    metrics = judge(truth, probabilities, thresholds=THRESHOLDS, data="d")
    assert (metrics.micro_f1, metrics.macro_f1) == (found.micro.f1, found.macro.f1)
    assert metrics.class_f1 == tuple(figures.f1 for figures in found.classes)


def test_a_network_that_diverged_is_not_judged() -> None:
    truth, probabilities = draw()
    with pytest.raises(EvaluationError, match="diverged"):
        judge_fields(truth, probabilities * np.nan, thresholds=THRESHOLDS, data="d")
