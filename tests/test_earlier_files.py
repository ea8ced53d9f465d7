"""Files of an earlier version open as they did: model, results, ledgers, station file, run folder.

``earlier_files`` was written by the commit before the packages of the SDK, training and export were rearranged.
"""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from export.onnx.fitted_run import read_fitted
from hpa_sdk import Label, Predictor
from hpa_sdk.batch.answer_ledger import AnswerLedger
from hpa_sdk.cli import main
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.results.results_file import read_results
from hpa_sdk.workstation import read_station
from training.judge.fitted_run import read_run

FILES = Path(__file__).parent / "earlier_files"


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A copy of the files, because some are opened for writing."""
    return Path(shutil.copytree(FILES, tmp_path / "earlier"))


def answers() -> dict[str, npt.NDArray[np.float32]]:
    """Return the probabilities that the earlier version wrote, by field."""
    with (FILES / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["error"]]
    return {row["id"]: np.array([row[label.hpa_name] for label in Label], np.float32) for row in rows}


def test_the_model_gives_the_same_answers() -> None:
    predictor = Predictor.load(FILES / "small.onnx", device="cpu", verify=True)
    provenance = json.loads((FILES / "out.csv.provenance.json").read_bytes())
    assert predictor.model.sha256 == provenance["model"]["sha256"]
    found = {answer.id: answer.probabilities for answer in predictor.predict(FILES / "fields")}
    assert found.keys() == answers().keys()
    for name, expected in answers().items():
        np.testing.assert_allclose(found[name], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "watch/hpa-results.csv", "watch/hpa-results.sqlite"])
def test_results_are_read_and_become_a_report(earlier: Path, tmp_path: Path, name: str) -> None:
    results = {result.id: result for result in read_results(earlier / name)}
    assert list(results) == ["a", "b", "c"]
    assert results["c"].error is not None
    for field, expected in answers().items():
        np.testing.assert_allclose(results[field].probabilities, expected, atol=1e-6)
    done = CliRunner().invoke(main, ["report", str(earlier / name), "-o", str(tmp_path / "report.html")])
    assert (done.exit_code, "3 fields, 1 failed" in done.stderr) == (1, True), done.stderr
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_ledger_of_a_run_holds_its_answers(earlier: Path) -> None:
    with closing(sqlite3.connect(earlier / "out.csv.ledger")) as file:
        places = [place for (place,) in file.execute("SELECT place FROM answers ORDER BY rowid")]
    with closing(AnswerLedger(earlier / "out.csv.ledger")) as ledger:
        for place, (name, expected) in zip(places, answers().items(), strict=True):
            known = ledger.get(place)
            assert known is not None
            np.testing.assert_allclose(known.probabilities, expected, atol=1e-7)
            assert known.files is not None
            assert [Path(file.path).name for file in known.files] == [
                f"{name}_{colour}.png" for colour in ("red", "green", "blue", "yellow")
            ]


def test_the_ledger_of_a_watch_holds_its_results(earlier: Path) -> None:
    with ResultStore(earlier / "watch") as store:
        assert (store.count(), store.count(failed=True)) == (3, 1)
        found = {result.id: result for result in store.newest(3)}
    assert found["c"].error is not None
    for name, expected in answers().items():
        np.testing.assert_allclose(found[name].probabilities, expected, atol=1e-6)
        assert found[name].indices == tuple(np.flatnonzero(np.array(found[name].probabilities) >= 0.5))


def test_the_station_file_is_read(earlier: Path) -> None:
    path = earlier / "watch" / "station.toml"
    text = path.read_text(encoding="utf-8").replace("/tmp/hpa", earlier.as_posix())  # noqa: S108 - where it was written
    path.write_text(text, encoding="utf-8")
    for name in ("exports", "answers"):
        (earlier / "watch" / name).mkdir()
    station = read_station(path)
    assert station.model == earlier / "small.onnx"
    assert (station.device, station.files.pattern, station.arrival.settle_seconds) == ("cpu", "hpa", 0.15)


def test_the_run_folder_is_read_by_training_and_export() -> None:
    run = read_run(FILES / "run")
    fitted = read_fitted(FILES / "run")
    assert run.card == fitted.card
    assert run.card.training.recipe == "study"
    image = np.full((1, 299, 299, 3), 0.5, np.float32)
    probabilities = np.asarray(run.network(image))
    np.testing.assert_allclose(np.asarray(fitted.network(image)["probabilities"]), probabilities, atol=1e-6)
