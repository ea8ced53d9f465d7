"""A look at a folder takes time only for its fields, and removed files are forgotten."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpa_sdk.errors import OutputError
from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.result_ledger import Ledger
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation import arrivals
from hpa_sdk.workstation.arrivals import Arrivals
from hpa_sdk.workstation.hot_folder import HotFolder
from hpa_sdk.workstation.station import Station
from hpa_sdk.workstation.watched_files import list_names, read_stamp
from tests.hpa_sdk.workstation.watching import make_station, planes


@pytest.fixture
def station(tmp_path: Path, model: Path) -> Station:
    return make_station(tmp_path, model, settle_seconds=0.001, looks=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def look(found: Arrivals) -> list[str]:
    """Look until what is there has settled, and give the ids of what has arrived."""
    given = found.look(99)
    time.sleep(0.01)
    return [arrived.group.id for arrived in [*given, *found.look(99)]]


def test_what_is_no_microscope_s_is_never_looked_into(
    station: Station, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def read_recorded(path: Path) -> FileStamp | None:
        asked.append(path.name)
        return read_stamp(path)

    monkeypatch.setattr(arrivals, "read_stamp", read_recorded)
    monkeypatch.setattr(arrivals, "LOOKS_A_ROUND", 1)
    files = planes(tmp_path, "a").files
    for name in ("old experiments", "folder.tif", ".hidden.tif"):
        (station.watch / name).mkdir()
    (station.watch / "notes.txt").touch()
    (station.watch / "thumbnail.png").touch()
    found = Arrivals(station, ledger)
    assert look(found) == ["a"]
    for _ in range(5):
        assert look(found) == []
    assert set(asked) == {file.name for file in files}


def test_what_is_gone_is_forgotten(station: Station, ledger: Ledger, tmp_path: Path) -> None:
    found = Arrivals(station, ledger)
    empty = {name for name, value in vars(found).items() if value in ({}, set())}
    for at in range(3):
        for file in planes(tmp_path, f"a{at}").files:
            file.touch()
        (station.watch / f"{at}.zarr").mkdir()
        (station.watch / f"{at}.txt").touch()
    found.look(99)
    time.sleep(0.01)
    for arrived in found.look(2):
        found.requeue(arrived)
    for arrived in found.look(2):
        found.finish(arrived)
    for path in station.watch.iterdir():
        path.rmdir() if path.is_dir() else path.unlink()
    assert look(found) == []
    assert {name for name, value in vars(found).items() if value in ({}, set())} == empty


def test_what_is_requeued_says_so(station: Station, ledger: Ledger, tmp_path: Path) -> None:
    planes(tmp_path, "a")
    found = Arrivals(station, ledger)
    found.look(9)
    time.sleep(0.01)
    (first,) = found.look(9)
    found.requeue(first)
    time.sleep(0.01)
    (second,) = found.look(9)
    assert (first.again, second.again) == (False, True)
    assert first.stamps == second.stamps


def test_a_plane_that_comes_during_the_answer_waits(tmp_path: Path, model: Path, ledger: Ledger) -> None:
    station = make_station(tmp_path, model, settle_seconds=0.001, looks=1, plane_timeout_seconds=0.02)
    late = planes(tmp_path, "a").files[0].rename(tmp_path / "late.png")
    found = Arrivals(station, ledger)
    found.look(9)
    time.sleep(0.05)
    (three,) = found.look(9)
    assert (len(three.stamps), three.complete) == (3, False)
    late.rename(station.watch / "a_red.png")
    for _ in range(3):
        assert found.look(9) == []
        time.sleep(0.05)
    ledger.set_done("a", three.stamps)
    found.finish(three)
    (whole,) = found.look(9)
    assert (len(whole.stamps), whole.complete) == (4, True)


@pytest.mark.parametrize("stops_at", ["set_done", "set_fact"])
def test_old_files_are_skipped_all_or_none(
    station: Station, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops_at: str
) -> None:
    class Killed(BaseException):
        pass

    files = [file for at in range(3) for file in planes(tmp_path, f"old {at}").files]
    found = Arrivals(station, ledger)
    calls = 0
    real = getattr(ledger, stops_at)

    def stop(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls == (5 if stops_at == "set_done" else 1):
            raise Killed
        real(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ledger, stops_at, stop)
        found.begin(skip=True)
    assert [ledger.stamp(file.name) for file in files] == [None] * 12
    found.begin(skip=True)
    planes(tmp_path, "new")
    found.begin(skip=True)
    assert look(found) == ["new"]


def test_a_slow_share_is_left_alone_as_long_as_it_took(
    station: Station, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(folder: Path, *, recursive: bool) -> set[str]:
        time.sleep(0.4)
        return list_names(folder, recursive=recursive)

    monkeypatch.setattr(arrivals, "list_names", slow)
    with ResultStore(station.output) as store:
        rest = HotFolder(station, Predictor.load(model, device="cpu"), store)._look()
    assert rest >= 0.38  # Windows' clock advances 16 ms at a time


def test_a_ledger_that_can_t_be_written_skips_nothing(station: Station, tmp_path: Path) -> None:
    planes(tmp_path, "old")
    ledger = Ledger(tmp_path / "closed.sqlite")
    ledger.close()
    with pytest.raises(OutputError):
        Arrivals(station, ledger).begin(skip=True)
