"""The starter is judged with known figures, and its fit resumes."""

from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from benchmarks.starter import fields, fitting
from benchmarks.starter.fitting import Budget
from benchmarks.starter.judging import class_aucs, class_f1, commonest, judge_set, micro_f1
from benchmarks.starter.page import Row, write_page
from benchmarks.starter.views import Source, draw_view, even_over_classes
from hpa_sdk.labels import Label
from training.data.dataset import read_dataset

FEWEST = 5


@pytest.fixture
def judged() -> tuple[np.ndarray, np.ndarray]:
    """Truth of 60 fields, and probabilities that know a little of it."""
    rng = np.random.default_rng(0)
    truth = (rng.random((60, len(Label))) < np.linspace(0.02, 0.5, len(Label))).astype(np.float32)
    probabilities = np.clip(0.3 * truth + 0.7 * rng.random(truth.shape), 0, 1).astype(np.float32)
    return truth, np.round(probabilities, 1)  # with ties


def test_figures_are_scikit_learn_s(judged: tuple[np.ndarray, np.ndarray]) -> None:
    truth, probabilities = judged
    present, predicted = truth.astype(bool), probabilities >= 0.5
    there = np.flatnonzero(truth.any(axis=0))
    expected = [roc_auc_score(truth[:, label], probabilities[:, label]) for label in there]
    np.testing.assert_allclose(class_aucs(present, probabilities)[there], expected)
    expected = f1_score(truth, predicted, average=None, zero_division=0)
    np.testing.assert_allclose(class_f1(present, predicted)[there], np.asarray(expected)[there])
    assert micro_f1(present, predicted) == pytest.approx(f1_score(truth, predicted, average="micro"))


def test_commonest_classes_are_the_best_constant_guess() -> None:
    present = np.zeros((10, len(Label)), bool)
    present[:8, 25], present[:6, 0], present[0, 3] = True, True, True
    assert commonest(present).tolist() == [0, 25]


def test_intervals_and_chance_enclose_what_they_should(judged: tuple[np.ndarray, np.ndarray]) -> None:
    truth, probabilities = judged
    found = judge_set("drawn", truth, probabilities, [0.5] * len(Label), fewest=FEWEST, turns=50)
    assert len(found.classes) == (truth.sum(axis=0) >= FEWEST).sum()
    assert found.auc.value == pytest.approx(np.mean([one.auc.value for one in found.classes]))
    for figure in (found.auc, found.macro_f1, found.micro_f1, found.average_precision):
        assert 0 < figure.low < figure.value < figure.high < 1
    assert 0.5 < found.chance_auc < found.auc.low
    assert 0 < found.base_rate < found.average_precision.low


def test_answers_without_information_stay_within_chance(judged: tuple[np.ndarray, np.ndarray]) -> None:
    truth, _ = judged
    noise = np.random.default_rng(1).random(truth.shape).astype(np.float32)
    found = judge_set("drawn", truth, noise, [0.5] * len(Label), fewest=FEWEST, turns=50)
    assert found.auc.low < 0.5 < found.chance_auc
    assert found.auc.value < found.chance_auc + 0.02


def test_fields_are_kept_and_the_same_again(tmp_path: Path, simulated: Path) -> None:
    made = fields.simulated(tmp_path, count=3, seed=1, side=64, even=True)
    again = fields.simulated(tmp_path, count=3, seed=1, side=64, even=True)
    assert made.images.shape == (3, 64, 64, 4)
    assert made.targets.any(axis=1).all()
    np.testing.assert_array_equal(made.images, again.images)
    read = fields.real(tmp_path, simulated, side=64)
    np.testing.assert_array_equal(read.targets, read_dataset(simulated).targets)
    assert len(fields.joined(made, read)) == len(made) + len(read)


def source(targets: np.ndarray) -> Source:
    images = np.random.default_rng(0).integers(0, 256, (len(targets), 96, 96, 4), np.uint8)
    return Source(fields.Fields(images, targets), even_over_classes(targets), 1.0, (0.4, 1.5))


def test_views_keep_labels_and_range() -> None:
    targets = np.eye(len(Label), dtype=np.float32)[:4]
    views = [draw_view((source(targets),), 32, np.random.default_rng(seed)) for seed in range(40)]
    for image, labels in views:
        assert image.shape == (32, 32, 4)
        assert image.dtype == np.float32
        assert 0 <= image.min() <= image.max() <= 1
        assert labels[:4].sum() == labels.sum() in {1, 2}
    assert any(not image[..., 3].any() for image, _ in views)
    assert any(image[..., 3].any() for image, _ in views)


def test_each_class_is_drawn_about_as_often() -> None:
    targets = np.zeros((11, len(Label)), np.float32)
    targets[:10, 0] = targets[10, 1] = 1
    assert even_over_classes(targets) @ targets[:, :2] == pytest.approx([0.5, 0.5])


def test_the_rate_rises_and_falls_to_nothing() -> None:
    budget = Budget(presentations=1600, batch_size=16)
    rates = [budget.rate(step) for step in range(budget.steps)]
    assert budget.steps == 100
    assert rates.index(max(rates)) in {3, 4}
    assert max(rates) == budget.learning_rate
    assert rates[-1] < 0.01 * budget.learning_rate


def test_the_page_names_simulated_fields_as_such(tmp_path: Path, judged: tuple[np.ndarray, np.ndarray]) -> None:
    found = judge_set("simulated", *judged, [0.5] * len(Label), fewest=FEWEST, turns=5)
    write_page(tmp_path / "page.md", [Row("the starter", 100, {"simulated": found})], "Nothing.")
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "drawings: no biology" in page
    assert f"{found.auc.value:.2f} ({found.auc.low:.2f} to {found.auc.high:.2f})" in page
    assert "must not be used" in page


def tiny_network(_: str) -> keras.Model:
    image = keras.Input((256, 256, 4))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, use_bias=False)(image))
    x = keras.layers.Dropout(0.3)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, keras.layers.Dense(len(Label), activation="sigmoid")(x))


def test_a_stopped_fit_resumes_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "build_network", tiny_network)
    drawn = source(np.eye(len(Label), dtype=np.float32)[:4])
    budget = Budget(presentations=8, batch_size=2, side=32, save_every=0)
    whole = fitting.fit(tmp_path / "whole", (drawn,), budget, initial=None)
    note = fitting._note
    seen = []

    def stop(folder: Path, step: int, loss: float) -> None:
        seen.append(step)
        if len(seen) == 2:
            raise KeyboardInterrupt
        note(folder, step, loss)

    monkeypatch.setattr(fitting, "_note", stop)
    with pytest.raises(KeyboardInterrupt):
        fitting.fit(tmp_path / "stopped", (drawn,), budget, initial=None)
    resumed = fitting.fit(tmp_path / "stopped", (drawn,), budget, initial=None)
    assert seen == [1, 2, 3, 4]
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
