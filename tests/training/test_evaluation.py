"""The command gives the figures of the network on the data."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hpa_sdk.labels import Label
from hpa_sdk.models.model_card import Calibration, ModelCard
from tests.small import CARD
from training.__main__ import main
from training.data.dataset import read_dataset, read_datasets
from training.data.prepared import DecodedImages
from training.data.split import stratified_split, study_split
from training.fit.plots import TRAINING_PICTURE
from training.judge.evaluation import judge_fields
from training.judge.thresholds import tune_thresholds
from training.simulation import simulate

pytestmark = pytest.mark.slow

THRESHOLDS = tuple(np.linspace(0.3, 0.6, len(Label)).tolist())
HISTORY = """epoch,batch_f1,binary_accuracy,loss,val_batch_f1,val_binary_accuracy,val_loss
0,0.1,0.9,0.5,0.1,0.9,190.5
1,0.2,0.92,0.3,0.15,0.91,NA
"""


def make_network(classes: int = len(Label)) -> keras.Model:
    """Make a network that sees only the mean colour of each quarter of an image."""
    image = keras.Input((299, 299, 3))
    colours = keras.layers.Flatten()(keras.layers.AveragePooling2D(149)(image))
    spread = keras.initializers.RandomNormal(stddev=8)
    return keras.Model(image, keras.layers.Dense(classes, activation="sigmoid", kernel_initializer=spread)(colours))


def make_run(folder: Path, *, seed: int, network: Callable[[], keras.Model] = make_network) -> Path:
    """Make a run folder of an unfitted network."""
    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True)
    network().save(folder / "network.keras")
    calibration = Calibration(temperature=2.0, fields=3, error_before=0.2, error_after=0.1)
    card = replace(CARD, thresholds=THRESHOLDS, calibration=calibration)
    (folder / "card.json").write_text(card.to_json(), encoding="utf-8")
    (folder / "run.json").write_text("{}", encoding="utf-8")
    (folder / "history.csv").write_text(HISTORY, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("evaluated") / "körning", seed=1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "fält"
    simulate(folder, count=12, seed=1, size=128, workers=1)
    return folder


def say_fitted_on(run: Path, data: Path, **record: Any) -> Path:
    """Let a run say that it was fitted on this data."""
    card = ModelCard.from_json((run / "card.json").read_bytes())
    fitted = replace(card, training=replace(card.training, data_fingerprint=read_dataset(data).fingerprint))
    (run / "card.json").write_text(fitted.to_json(), encoding="utf-8")
    (run / "run.json").write_text(json.dumps({"data": [str(data)]} | record), encoding="utf-8")
    return run


def evaluate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)], catch_exceptions=False)


def predict_eight_views(network: keras.Model, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    turned = [np.rot90(images, turns, axes=(1, 2)) for turns in range(4)]
    views = [*turned, *(np.flip(image, axis=1) for image in turned)]
    mean: npt.NDArray[np.float32] = np.mean([network.predict(view, verbose=0) for view in views], axis=0)
    return mean


def test_the_command_judges_the_network_of_the_run(run: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = evaluate(run, data, "--json", "--out", out)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert json.loads((out / "evaluation.json").read_text(encoding="utf-8")) == report
    dataset = read_dataset(data)
    probabilities = keras.saving.load_model(run / "network.keras").predict(
        DecodedImages(dataset.samples)[np.arange(12)], verbose=0
    )
    expected = judge_fields(dataset.targets, probabilities, thresholds=THRESHOLDS, data="fält", temperature=2.0)
    found = report["evaluation"]
    assert (found["data"], found["fields"], report["failures"]) == ("fält", 12, [])
    assert found["micro"]["f1"] == pytest.approx(expected.micro.f1)
    assert found["macro"]["average_precision"] == pytest.approx(expected.macro.average_precision)
    assert [figures["predicted"] for figures in found["classes"]] == [figures.predicted for figures in expected.classes]
    assert [figures["threshold"] for figures in found["classes"]] == pytest.approx(THRESHOLDS)
    assert found["reliability"][1]["error"] == pytest.approx(expected.reliability[1].error, abs=1e-4)
    rows = list(csv.DictReader((out / "classes.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["label"] for row in rows] == [str(label) for label in Label]
    for row, figures in zip(rows, found["classes"], strict=True):
        assert row["f1"] == ("" if figures["f1"] is None else str(figures["f1"]))
        assert int(row["support"]) == figures["support"]
    pictures = ["history", "label_pairs", "precision_recall", "reliability", "training_images"]
    assert sorted(file.name for file in out.iterdir()) == sorted(
        ["classes.csv", "evaluation.json", *(f"{name}.png" for name in pictures)]
    )
    for name in pictures:
        with Image.open(out / f"{name}.png") as picture:
            picture.load()


def test_the_table_shows_every_class_of_the_validation_part(data: Path, tmp_path: Path) -> None:
    run = say_fitted_on(make_run(tmp_path / "run", seed=1), data)
    result = evaluate(run, data, "--part", "validation", "--views", "8", "--threshold", "0.5")
    assert result.exit_code == 0, result.output
    out = run / "evaluation-fält-validation-views-8-threshold-0.5"
    report = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    dataset = read_dataset(data)
    rows = np.sort(study_split(12)[1])
    images = DecodedImages(dataset.samples)[rows]
    network = keras.saving.load_model(run / "network.keras")
    probabilities = predict_eight_views(network, images)
    expected = judge_fields(dataset.targets[rows], probabilities, thresholds=(0.5,) * len(Label), data="")
    occurring = sum(figures.support > 0 for figures in expected.classes)
    assert report["evaluation"]["fields"] == 3
    assert report["evaluation"]["micro"]["average_precision"] == pytest.approx(expected.micro.average_precision)
    assert report["evaluation"]["reliability"][0]["error"] == pytest.approx(expected.reliability[0].error, abs=1e-5)
    assert all(str(label) in result.stdout for label in Label)
    lines = {line.split("  ")[0].strip(): line.split() for line in result.stdout.splitlines()}
    for name, averages in (("micro, all decisions", expected.micro), (f"macro, {occurring} classes", expected.macro)):
        reported_averages = [averages.precision, averages.recall, averages.f1, averages.average_precision]
        assert lines[name][3:] == [f"{value:.4f}" for value in reported_averages]
    assert f"No field has, so not judged: {'; '.join(expected.without_field)}" in result.stdout
    assert str(out) in result.stderr


def test_a_field_that_can_t_be_read_costs_no_other_its_judgement(data: Path, tmp_path: Path) -> None:
    run = say_fitted_on(make_run(tmp_path / "run", seed=1), data)
    dataset = read_dataset(data)
    broken = dataset.samples[np.sort(study_split(12)[1])[0]]
    broken.files[2].write_bytes(bytes(broken.files[2].stat().st_size))
    (run / "history.csv").write_text("epoch\n0\n", encoding="utf-8")
    result = evaluate(run, data, "--part", "validation", "--out", tmp_path / "out")
    assert result.exit_code == 1
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert report["evaluation"]["fields"] == 2
    assert [failure["id"] for failure in report["failures"]] == [broken.id]
    assert f"{broken.id}: " in result.stderr
    assert "no picture of the fit" in result.stderr
    assert not (tmp_path / "out" / "history.png").exists()


def test_what_can_t_start_leaves_nothing(run: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for arguments, message in (
        ((tmp_path / "gone", data), "holds no run.json"),
        ((run, tmp_path / "gone"), "can't be read"),
        ((run, data, "--views", "2"), "Invalid value"),
        ((run, data, "--part", "validation"), "is not the data of this fit"),
        ((run, data, "--part", "training"), "is not the data of this fit"),
        ((run, data, "--threshold", "1.5"), "Invalid value"),
    ):
        result = evaluate(*arguments, "--out", out)
        assert result.exit_code == 2
        assert message in result.stderr
        assert not out.exists()


def test_a_network_of_another_form_is_refused(data: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", seed=0, network=lambda: make_network(classes=19))
    result = evaluate(run, data)
    assert result.exit_code == 2
    assert "(None, 19)" in result.stderr
    (run / "network.keras").write_bytes(b"no network")
    result = evaluate(run, data)
    assert result.exit_code == 2
    assert "the network can't be read" in result.stderr
    (run / "run.json").write_text('{"split": "by hand"}', encoding="utf-8")
    result = evaluate(run, data)
    assert result.exit_code == 2
    assert "the record can't be read" in result.stderr


def test_a_network_is_judged_on_its_validation_part(data: Path, tmp_path: Path) -> None:
    run = say_fitted_on(make_run(tmp_path / "run", seed=1), data, split="stratified")
    dataset = read_dataset(data)
    result = evaluate(run, data, "--part", "validation", "--json")
    assert result.exit_code == 0, result.output
    assert "too good" not in result.stderr
    rows = stratified_split(dataset.targets)[1]
    network = keras.saving.load_model(run / "network.keras")
    probabilities = network.predict(DecodedImages(dataset.samples)[rows], verbose=0)
    expected = judge_fields(dataset.targets[rows], probabilities, thresholds=THRESHOLDS, data="")
    found = json.loads(result.stdout)["evaluation"]
    assert (found["fields"], found["data"]) == (len(rows), "fält, validation part of the stratified split")
    assert found["micro"]["average_precision"] == pytest.approx(expected.micro.average_precision)
    assert found["reliability"][0]["error"] == pytest.approx(expected.reliability[0].error, abs=1e-5)


def test_figures_on_the_fields_of_the_fit_are_called_too_good(data: Path, tmp_path: Path) -> None:
    run = say_fitted_on(make_run(tmp_path / "run", seed=1), data)
    assert "the figures are too good" in evaluate(run, data).stderr


def test_a_part_of_a_fit_s_data_has_no_validation_part(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    simulate(other, count=8, seed=2, size=128, workers=1)
    # The ids are those of the data alone otherwise.
    table = (other / "train.csv").read_text(encoding="utf-8")
    for sample in read_dataset(other).samples:
        for file in sample.files:
            file.rename(file.with_name(f"other-{file.name}"))
        table = table.replace(sample.id, f"other-{sample.id}")
    (other / "train.csv").write_text(table, encoding="utf-8")
    run = make_run(tmp_path / "run", seed=1)
    card = ModelCard.from_json((run / "card.json").read_bytes())
    fingerprint = read_datasets([data, other]).fingerprint
    fitted = replace(card, training=replace(card.training, data_fingerprint=fingerprint))
    (run / "card.json").write_text(fitted.to_json(), encoding="utf-8")
    assert evaluate(run, data, other, "--part", "validation").exit_code == 0
    for sources in ([data], [other], [other, data]):
        for part in ("training", "validation"):
            result = evaluate(run, *sources, "--part", part, "--out", tmp_path / "out")
            assert result.exit_code == 2
            assert f"{run}: " in result.stderr
            assert f"is not the data of this fit, so it has no {part} part" in result.stderr
            assert "--part all" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("known", [True, False])
def test_one_view_thresholds_are_retuned_for_eight_or_reported(data: Path, tmp_path: Path, known: bool) -> None:
    fitted_on = tmp_path / "fitted"
    simulate(fitted_on, count=20, seed=5, size=128, workers=1)
    tuned = say_fitted_on(make_run(tmp_path / "run", seed=1), fitted_on, recipe={"thresholds": "tuned"})
    dataset = read_dataset(fitted_on)
    rows = np.sort(study_split(20)[1])
    network = keras.saving.load_model(tuned / "network.keras")
    images = DecodedImages(dataset.pick(rows))[np.arange(len(rows))]
    expected = tune_thresholds(dataset.targets[rows], predict_eight_views(network, images))
    if not known:
        fitted_on.rename(tmp_path / "moved")
        expected = THRESHOLDS
    arguments = (tuned, data, "--out", tmp_path / "out", "--views", "8")
    result = evaluate(*arguments, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["views"] == 8
    assert [figures["threshold"] for figures in report["evaluation"]["classes"]] == pytest.approx(expected, abs=1e-5)
    # The card's temperature is of one view.
    assert len(report["evaluation"]["reliability"]) == 1
    source = (
        "tuned anew for 8 views on the validation part of fitted"
        if known
        else "the card's, tuned for one view and not for 8: the data of the fit is not at hand"
    )
    assert report["thresholds"] == source
    assert evaluate(*arguments).stdout.endswith(f"views: 8; thresholds: {source}\n")
    one = json.loads(evaluate(tuned, data, "--out", tmp_path / "one", "--json").stdout)
    assert [figures["threshold"] for figures in one["evaluation"]["classes"]] == pytest.approx(THRESHOLDS)
    assert one["thresholds"] == "the card's"


def test_an_untuned_run_keeps_its_thresholds_for_eight_views(run: Path, data: Path, tmp_path: Path) -> None:
    study = json.loads(evaluate(run, data, "--json", "--views", "8", "--out", tmp_path / "study").stdout)
    assert [figures["threshold"] for figures in study["evaluation"]["classes"]] == pytest.approx(THRESHOLDS)


def test_no_picture_shows_other_planes_than_were_judged(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change_all(*_: object) -> None:
        for sample in read_dataset(data).samples:
            for file in sample.files:
                file.write_bytes(file.read_bytes())

    out = tmp_path / "out"
    monkeypatch.setattr("training.cli.evaluate._draw", lambda *_: None)
    assert evaluate(run, data, "--out", out).exit_code == 0
    assert (out / TRAINING_PICTURE).exists()
    monkeypatch.setattr("training.cli.evaluate._draw", change_all)
    result = evaluate(run, data, "--out", out)
    assert result.exit_code == 0
    assert "no picture of the fields" in result.stderr
    assert "changed since the field was first read" in result.stderr
    assert not (out / TRAINING_PICTURE).exists()
