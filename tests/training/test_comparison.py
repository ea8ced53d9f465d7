"""Two networks are set side by side with the figures and label sets that each has alone."""

import json
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result

from hpa_sdk.labels import Label
from tests.training.test_evaluation import make_run, predict_eight_views, say_fitted_on
from training.__main__ import main
from training.data.dataset import Dataset, read_dataset
from training.data.prepared import DecodedImages
from training.data.split import study_split
from training.judge.evaluation import judge_fields
from training.judge.thresholds import tune_thresholds
from training.simulation import simulate

pytestmark = pytest.mark.slow

THRESHOLD = 0.5


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("compared")
    return [make_run(folder / name, seed=seed) for seed, name in enumerate(("första", "andra"))]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "fält"
    simulate(folder, count=12, seed=2, size=128, workers=1)
    return folder


def compare(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)], catch_exceptions=False)


def predict(run: Path, dataset: Dataset, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    probabilities: npt.NDArray[np.float32] = keras.saving.load_model(run / "network.keras").predict(
        DecodedImages(dataset.samples)[rows], verbose=0
    )
    return probabilities


def test_figures_and_label_sets_are_each_network_s_own(data: Path, tmp_path: Path) -> None:
    runs = [say_fitted_on(make_run(tmp_path / name, seed=seed), data) for seed, name in enumerate(("första", "andra"))]
    result = compare(*runs, data, "--json", "--part", "validation", "--threshold", str(THRESHOLD))
    assert result.exit_code == 0, result.output
    comparison = json.loads(result.stdout)["comparison"]
    dataset = read_dataset(data)
    rows = study_split(12)[1]
    assert comparison["fields"] == len(rows)
    assert [field["id"] for field in comparison["first"]] == [sample.id for sample in dataset.samples[:10]]
    assert [field["truth"] for field in comparison["first"]] == [
        np.flatnonzero(row).tolist() for row in dataset.targets[:10]
    ]
    sets = []
    for at, run in enumerate(runs):
        found = comparison["networks"][at]
        expected = judge_fields(
            dataset.targets[rows], predict(run, dataset, rows), thresholds=(THRESHOLD,) * len(Label), data=""
        )
        assert (found["run"], found["architecture"], found["parameters"]) == (str(run), "means", 12 * 28 + 28)
        assert found["micro_f1"] == pytest.approx(expected.micro.f1)
        assert found["macro_f1"] == pytest.approx(expected.macro.f1)
        assert found["batch_f1"] == pytest.approx(expected.batch_f1)
        assert found["binary_accuracy"] == pytest.approx(expected.binary_accuracy)
        first = predict(run, dataset, np.arange(10))
        sets.append([np.flatnonzero(row >= THRESHOLD).tolist() for row in first])
        assert [field["predicted"][at] for field in comparison["first"]] == sets[at]
    assert sets[0] != sets[1]


def test_the_text_states_the_same_by_name(runs: list[Path], data: Path) -> None:
    dataset = read_dataset(data)
    broken = dataset.samples[3]
    broken.files[0].write_bytes(b"no picture")
    arguments = (*runs, data)
    result = compare(*arguments)
    report = json.loads(compare(*arguments, "--json").stdout)
    assert result.exit_code == 1
    assert report["threshold"] == 0.2
    assert [failure["id"] for failure in report["failures"]] == [broken.id]
    assert report["comparison"]["fields"] == 11
    lines = result.stdout.splitlines()
    assert lines[0] == "11 fields of fält; a class counts from a probability of 0.2 or more"
    assert f"{'micro F1':<28}" in result.stdout
    for name, form in (("micro_f1", ".4f"), ("macro_f1", ".4f"), ("batch_f1", ".4f"), ("parameters", ",")):
        for network in report["comparison"]["networks"]:
            assert f"{network[name]:{form}}" in result.stdout
    for number, field in enumerate(report["comparison"]["first"]):
        at = lines.index(f"{number + 1:>3}  {field['id']}")
        truth = "; ".join(f"{Label(index)} [{index}]" for index in field["truth"])
        assert lines[at + 3].split(maxsplit=1) == ["truth", truth]
        for network in range(2):
            indices = field["predicted"] and field["predicted"][network]
            names = "; ".join(f"{Label(index)} [{index}]" for index in indices) if indices else "can not be read"
            assert lines[at + 1 + network].split(maxsplit=1) == [str(runs[network]), names]
        assert (field["predicted"] is None) == (field["id"] == broken.id)


def test_what_can_t_start_says_why(runs: list[Path], data: Path, tmp_path: Path) -> None:
    result = compare(runs[0], tmp_path / "gone", data)
    assert result.exit_code == 2
    assert "holds no run.json" in result.stderr
    other = make_run(tmp_path / "run", seed=0)
    (other / "run.json").write_text('{"split": "stratified"}', encoding="utf-8")
    result = compare(runs[0], other, data, "--part", "validation")
    assert result.exit_code == 2
    assert "by the study and by the stratified split" in result.stderr
    assert compare(runs[0], other, data, "--json").exit_code == 0
    fitted_on_it = say_fitted_on(make_run(tmp_path / "fitted", seed=3), data)
    for pair in ([fitted_on_it, runs[0]], [runs[0], fitted_on_it]):
        result = compare(*pair, data, "--part", "validation")
        assert result.exit_code == 2
        assert f"{runs[0]}: fält is not the data of this fit, so it has no validation part" in result.stderr


def test_eight_views_are_averaged_by_thresholds_for_eight(data: Path, tmp_path: Path) -> None:
    tuned = say_fitted_on(make_run(tmp_path / "tuned", seed=1), data, recipe={"thresholds": "tuned"})
    study = make_run(tmp_path / "study", seed=2)
    result = compare(tuned, study, data, "--json", "--views", "8", "--threshold", "card")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    dataset = read_dataset(data)
    rows = np.sort(study_split(12)[1])
    network = keras.saving.load_model(tuned / "network.keras")
    probabilities = predict_eight_views(network, DecodedImages(dataset.samples)[np.arange(12)])
    thresholds = tune_thresholds(dataset.targets[rows], probabilities[rows])
    expected = judge_fields(dataset.targets, probabilities, thresholds=thresholds, data="")
    assert report["comparison"]["networks"][0]["micro_f1"] == pytest.approx(expected.micro.f1)
    sources = [
        "tuned anew for 8 views on the validation part of fält",
        "the card's, which were tuned for no number of views",
    ]
    assert (report["views"], report["thresholds"]) == (8, sources)
    lines = compare(tuned, study, data, "--views", "8", "--threshold", "card").stdout.splitlines()
    assert lines[0].endswith("a class counts from its network's threshold, averaged over 8 views")
    for run, source in zip((tuned, study), sources, strict=True):
        assert f"thresholds of {run}: {source}" in lines
