"""Fault tolerance of a hot folder: it loses nothing when files, folders or the computer fail."""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.hot_folder_soak import Soak, SoakSettings
from hpa_sdk.errors import OutputError, PlaneError
from hpa_sdk.fields.samples import Sample
from hpa_sdk.prediction import Failure
from hpa_sdk.predictor import Predictor
from hpa_sdk.workstation import arrivals
from tests.hpa_sdk.workstation.watching import (
    RNG,
    SETTLE,
    ArrivalClock,
    make_station,
    planes,
    rows,
    settled,
    wait_until,
    watching,
)
from tests.small import CARD, make_field, make_model

pytestmark = pytest.mark.slow


def test_bad_files_are_reported_once_and_cost_no_other_field(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model)
    contents = {"empty": b"", "text": b"no picture", "torn": b"\x89PNG\r\n\x1a\n half"}
    for name, content in contents.items():
        planes(tmp_path, name).files[1].write_bytes(content)
    planes(tmp_path, "good")
    answered: list[str] = []
    with watching(station, on_result=lambda result: answered.append(result.id)) as store:
        wait_until(lambda: store.count() == 4)
        settled()
    with watching(station, on_result=lambda result: answered.append(result.id)):
        settled()
    assert sorted(answered) == ["empty", "good", "text", "torn"]
    errors = {row["id"]: row["error"] for row in rows(station.output)}
    assert not errors.pop("good")
    assert all(f"{name}_green.png" in error for name, error in errors.items())


def test_a_field_that_is_written_again_is_answered_again(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "LOOKS_A_ROUND", 1)
    station = make_station(tmp_path, model)
    bad = planes(tmp_path, "a")
    bad.files[1].write_bytes(b"")
    with watching(station) as store:
        wait_until(lambda: store.count(failed=True))
        planes(tmp_path, "a")
        wait_until(lambda: store.count() and not store.count(failed=True))
    assert [row["error"] for row in rows(station.output)] == [""]


def test_a_failure_that_passes_is_no_failure(tmp_path: Path, model: Path) -> None:
    class Flaky:
        device = "cpu"
        card = CARD

        def __init__(self) -> None:
            self.asked: list[str] = []
            self._predictor = Predictor.load(model, device="cpu")
            self.model, self.others, self.views = self._predictor.model, self._predictor.others, 1

        def stream(self, samples: Iterator[Sample]) -> Iterator[object]:
            for sample in samples:
                self.asked.append(sample.id)
                torn = Failure(sample.id, PlaneError("the share went away", remedy="Wait."))
                yield torn if self.asked.count(sample.id) == 1 else self._predictor.predict(sample)[0]

    station, flaky = make_station(tmp_path, model), Flaky()
    planes(tmp_path, "a")
    with watching(station, predictor=flaky) as store:
        wait_until(store.count)
        assert not store.count(failed=True)
    assert flaky.asked == ["a", "a"]


def test_a_folder_that_goes_away_is_waited_for(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ArrivalClock(monkeypatch)
    station = make_station(tmp_path, model, plane_timeout_seconds=6 * SETTLE)
    planes(tmp_path, "a")
    half = planes(tmp_path, "half")
    late = shutil.move(half.files[0], tmp_path / "late.png")
    away = tmp_path / "away"
    with caplog.at_level(logging.WARNING, "hpa_sdk"), watching(station) as store:
        clock.let_pass(2 * SETTLE)
        wait_until(store.count)
        station.watch.rename(away)
        clock.let_pass(8 * SETTLE)
        assert store.count() == 1
        away.rename(station.watch)
        planes(tmp_path, "b")
        clock.let_pass(2 * SETTLE)
        wait_until(lambda: store.count() == 2)
        shutil.move(late, half.files[0])
        clock.let_pass(2 * SETTLE)
        wait_until(lambda: store.count() == 3)
        assert not store.count(failed=True)
    messages = [record.getMessage() for record in caplog.records]
    assert sum("can't be listed" in message for message in messages) == 1
    assert sum("trouble is over" in message for message in messages) == 1


def test_a_replaced_model_is_reported_once_results_name_theirs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model(tmp_path / "small.onnx")
    first = hashlib.sha256(model.read_bytes()).hexdigest()
    station = make_station(tmp_path, model)
    with caplog.at_level(logging.WARNING, "hpa_sdk"), watching(station) as store:
        make_model(model, name="another")
        planes(tmp_path, "a")
        wait_until(store.count)
        settled()
        assert store.newest(1)[0].model_sha256 == first
    assert sum("model file was replaced" in record.getMessage() for record in caplog.records) == 1


def test_a_full_disk_stops_nothing_for_good(tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture) -> None:
    station = make_station(tmp_path, model)
    with caplog.at_level(logging.WARNING, "hpa_sdk"), watching(station) as store:
        wait_until(lambda: store.ledger.fact("begun"))
        # SQLite's own word for a full disk, at the size that the ledger has.
        pages = store.ledger.rows("PRAGMA page_count")[0][0]
        store.ledger.rows(f"PRAGMA max_page_count = {pages}")
        names = [planes(tmp_path, f"field {at}").id for at in range(12)]
        wait_until(lambda: any("full" in record.getMessage() for record in caplog.records))
        settled()
        store.ledger.rows("PRAGMA max_page_count = 100000")
        wait_until(lambda: store.count() == 12)
    assert sorted(row["id"] for row in rows(station.output)) == sorted(names)


def test_a_result_folder_that_can_t_be_written_holds_nothing_up(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model, files='pattern = "hpa"\nrecursive = true')
    (station.output / "below").write_text("in the way", encoding="utf-8")
    make_field(station.watch / "below", "a", RNG)
    planes(tmp_path, "b")
    with watching(station) as store:
        wait_until(lambda: store.count() == 2)
        wait_until((station.output / "b.json").exists)
        (station.output / "below").unlink()
        wait_until((station.output / "below" / "a.json").exists)
    assert {row["id"] for row in rows(station.output)} == {"b", "below/a"}


def test_a_second_watch_is_refused_and_the_first_is_named(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model)
    with watching(station) as store:
        wait_until(lambda: store.ledger.fact("holder"))
        with pytest.raises(OutputError, match=f"process {os.getpid()} on"), watching(station):
            settled()


def test_a_ledger_of_another_folder_is_refused(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model)
    with watching(station) as store:
        wait_until(lambda: store.ledger.fact("folder"))
    (tmp_path / "exports").rename(tmp_path / "other")
    text = (tmp_path / "station.toml").read_text(encoding="utf-8")
    assert "exports" in text
    moved = type(station)(model=model, watch=tmp_path / "other", output=station.output, device="cpu")
    with pytest.raises(OutputError, match="is of the folder"), watching(moved):
        settled()


def test_a_soak_loses_nothing_and_answers_nothing_twice(tmp_path: Path) -> None:
    settings = SoakSettings(
        fields=60,
        bad_every=20,
        kills=2,
        moves=1,
        settle=0.4,
        plane_timeout=4.0,
        late_fields=2,
        seed=4,
    )
    findings = Soak(tmp_path / "soak ö", settings).run()
    assert findings.wrong == []
    assert findings.kills == 2
