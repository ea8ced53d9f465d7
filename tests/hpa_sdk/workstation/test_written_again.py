"""A field whose files are written again is answered by files of one writing, or says which are of the earlier one."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zarr

from hpa_sdk.fields import field_source, scenes
from hpa_sdk.fields.samples import Sample
from hpa_sdk.files.file_state import stamp_of
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_ledger import Ledger
from hpa_sdk.workstation import arrivals, folder_turns
from hpa_sdk.workstation.arrivals import Arrivals, Arrived
from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.workstation.watching import (
    QUICK,
    RNG,
    SETTLE,
    ArrivalClock,
    make_station,
    planes,
    wait_until,
    watching,
)
from tests.hpa_sdk.workstation.written import CHANNELS, ORDER, put_image, stack
from tests.small import make_field, random_planes, write_planes

TIMEOUT = 30.0
LEICA = 'pattern = "leica"\n[channels]\nred = [0]\ngreen = [1]\nblue = [2]\nyellow = [3]'
YESTERDAY = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)


class Watch:
    """The arrivals of a folder, by a clock of their own; what is given counts as answered."""

    def __init__(self, station: Station, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = 0.0
        self._station = station
        self._ledger = ledger
        monkeypatch.setattr(arrivals, "time", SimpleNamespace(monotonic=lambda: self._now))
        monkeypatch.setattr(arrivals, "LOOKS_A_ROUND", 1)
        self.restart()

    def restart(self) -> None:
        self.found = Arrivals(self._station, self._ledger)

    def after(self, seconds: float) -> list[Arrived]:
        """Let what is there be seen, then time go by, and give what has arrived by then."""
        for _ in range(3):
            assert self.found.look(9) == []
        self._now += seconds
        return self.found.look(9)

    def answer(self, seconds: float = 1) -> Arrived:
        (arrived,) = self.after(seconds)
        self._ledger.set_done(arrived.group.id, arrived.stamps)
        self.found.finish(arrived)
        return arrived


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


@pytest.fixture
def watch(tmp_path: Path, model: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Watch:
    station = make_station(tmp_path, model, settle_seconds=0.5, looks=1, plane_timeout_seconds=TIMEOUT)
    return Watch(station, ledger, monkeypatch)


def write(folder: Path, *colours: str, field: str = "a") -> list[Path]:
    """Write some planes of a field as a microscope does: into files of the same names."""
    elsewhere = make_field(folder / "elsewhere", field, RNG)
    chosen = [file for file in elsewhere.files if file.stem.rpartition("_")[2] in colours]
    return [file.replace(folder / "exports" / file.name) for file in chosen]


def age(*files: Path) -> None:
    for file in files:
        os.utime(file, (YESTERDAY.timestamp(),) * 2)


def test_a_field_waits_until_its_other_planes_come_anew(watch: Watch, tmp_path: Path) -> None:
    planes(tmp_path, "a")
    assert watch.answer().notes == ()
    write(tmp_path, "red", "green")
    assert watch.after(1) == []
    write(tmp_path, "blue")
    assert watch.after(TIMEOUT - 1) == []
    write(tmp_path, "yellow")
    arrived = watch.answer()
    assert arrived.stamps == {path.name: stamp_of(path) for path in (tmp_path / "exports").iterdir()}
    assert (arrived.complete, arrived.notes) == (True, ())


def test_an_aborted_second_writing_names_the_earlier_planes(watch: Watch, tmp_path: Path) -> None:
    age(*planes(tmp_path, "a").files)
    watch.answer()
    write(tmp_path, "red", "green")
    assert watch.after(TIMEOUT - 1) == []
    arrived = watch.answer(1)
    (note,) = arrived.notes
    assert "a_blue.png, a_yellow.png" in note
    assert "2026-05-04T10:30:00+00:00" in note
    assert not {"a_red.png", "a_green.png"} & set(note.replace(",", "").split())
    assert len(arrived.group.files) == 4


def test_a_restart_between_keeps_the_two_writings_apart(watch: Watch, tmp_path: Path) -> None:
    age(*planes(tmp_path, "a").files)
    watch.answer()
    write(tmp_path, "red")
    watch.restart()
    assert watch.after(1) == []
    write(tmp_path, "green")
    watch.restart()
    assert watch.after(TIMEOUT - 1) == []
    assert "a_blue.png, a_yellow.png" in watch.answer(1).notes[0]


def test_a_field_that_is_requeued_keeps_the_two_apart(watch: Watch, tmp_path: Path) -> None:
    age(*planes(tmp_path, "a").files)
    watch.answer()
    write(tmp_path, "red")
    (first,) = watch.after(TIMEOUT)
    watch.found.requeue(first)
    (second,) = watch.after(TIMEOUT)
    assert (second.again, second.notes) == (True, first.notes)
    assert "a_blue.png, a_green.png, a_yellow.png" in second.notes[0]


def test_a_plane_that_was_never_there_joins_at_once(watch: Watch, tmp_path: Path) -> None:
    late = planes(tmp_path, "a").files[3].rename(tmp_path / "late.png")
    assert not watch.answer(TIMEOUT).complete
    late.rename(tmp_path / "exports" / "a_yellow.png")
    arrived = watch.answer()
    assert (len(arrived.stamps), arrived.complete, arrived.notes) == (4, True, ())


def test_a_plane_that_comes_a_day_late_joins_with_a_note(watch: Watch, tmp_path: Path) -> None:
    age(*planes(tmp_path, "a").files)
    (tmp_path / "exports" / "a_yellow.png").unlink()
    watch.answer(TIMEOUT)
    write(tmp_path, "yellow")
    (note,) = watch.answer().notes
    assert "a_blue.png, a_green.png, a_red.png" in note
    assert "2026-05-04" in note


def test_a_sibling_that_changed_unseen_is_not_joined(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planes(tmp_path, "a")
    watch.answer()
    # Of files that are done with, only some are looked at each time.
    monkeypatch.setattr(arrivals, "LOOKS_A_ROUND", 10**6)
    write(tmp_path, "red", "green", "blue", "yellow")
    for _ in range(40):
        if arrived := watch.after(TIMEOUT):
            break
    assert arrived[0].stamps == {path.name: stamp_of(path) for path in (tmp_path / "exports").iterdir()}
    assert arrived[0].notes == ()


def leica(folder: Path, z: int, *channels: int) -> list[Path]:
    """Write planes of one z as Leica names them."""
    files = make_field(folder / "elsewhere", "x", RNG).files
    return [files[at].rename(folder / "exports" / f"pos--Z{z:02d}--C0{at}.png") for at in channels]


def test_a_z_plane_of_an_earlier_writing_is_named(
    tmp_path: Path, model: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = make_station(tmp_path, model, files=LEICA, settle_seconds=0.5, looks=1, plane_timeout_seconds=TIMEOUT)
    watch = Watch(station, ledger, monkeypatch)
    for z in range(2):
        age(*leica(tmp_path, z, 0, 1, 2, 3))
    watch.answer()
    leica(tmp_path, 0, 0, 1, 2, 3)
    assert watch.after(1) == []
    (note,) = watch.answer(TIMEOUT).notes
    assert "pos--Z01--C00.png, pos--Z01--C01.png, pos--Z01--C02.png, pos--Z01--C03.png" in note
    assert "Z00" not in note


def test_the_answer_to_an_aborted_writing_carries_the_note(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ArrivalClock(monkeypatch)
    monkeypatch.setattr(arrivals, "LOOKS_A_ROUND", 1)
    station = make_station(tmp_path, model, settle_seconds=QUICK, plane_timeout_seconds=TIMEOUT)
    age(*planes(tmp_path, "a").files)
    with watching(station) as store:
        clock.let_pass(2 * QUICK)
        wait_until(store.count)
        (first,) = store.newest(1)
        write(tmp_path, "red", "green")
        clock.let_pass(2 * QUICK)
        clock.let_pass(2 * QUICK)
        assert store.newest(1) == [first]
        clock.let_pass(TIMEOUT)
        wait_until(lambda: store.newest(1) != [first])
        (second,) = store.newest(1)
    assert any("a_blue.png, a_yellow.png" in note for note in second.notes)
    (expected,) = Predictor.load(model, device="cpu").predict(station.watch / "a")
    np.testing.assert_array_equal(np.array(second.probabilities, np.float32), expected.probabilities)


class Late:
    """A predictor before which something happens to the files of its first sample."""

    def __init__(self, model: Path, meanwhile: Any) -> None:
        self._predictor = Predictor.load(model, device="cpu")
        self.device, self.card, self.model = self._predictor.device, self._predictor.card, self._predictor.model
        self.others, self.views = self._predictor.others, self._predictor.views
        self._meanwhile = meanwhile
        self.answers: list[Any] = []

    def stream(self, samples: Iterator[Sample]) -> Iterator[object]:
        for at, sample in enumerate(samples):
            if at == 0 and not self.answers:
                self._meanwhile(sample)
            self.answers += self._predictor.predict(sample, on_error="yield")
            yield self.answers[-1]


def kept(store: Any, field: str) -> tuple[Result, dict[str, Any]]:
    (result,) = store.newest(9)
    return result, {name: store.ledger.stamp(name) for name in store.ledger.files_of(field)}


def test_files_replaced_before_they_are_read_are_read_again(tmp_path: Path, model: Path) -> None:
    """Replaced after the look that found them settled, and before the predictor reads them."""
    station = make_station(tmp_path, model)
    planes(tmp_path, "a")
    new = random_planes(np.random.default_rng(77))
    predictor = Late(model, lambda _: write_planes(station.watch, "a", new))
    results: list[Result] = []
    with watching(station, predictor=predictor, on_result=results.append) as store:
        wait_until(store.count)
        result, stamps = kept(store, "a")
    (expected,) = predictor._predictor.predict_planes(new[None])
    np.testing.assert_array_equal(np.array(result.probabilities, np.float32), expected.probabilities)
    assert len(results) == 1
    # The first answer was of files that had not settled: it is asked again, and only the second counts.
    assert len(predictor.answers) == 2
    assert stamps == {path.name: stamp_of(path) for path in station.watch.iterdir()}
    assert list(result.stamps) == [stamps[Path(file).name] for file in result.files]


def test_one_plane_replaced_before_it_is_read_joins_no_other(tmp_path: Path, model: Path) -> None:
    """The next acquisition begins in the moment in which the last one is read, and aborts."""
    station = make_station(tmp_path, model, plane_timeout_seconds=8 * SETTLE)
    planes(tmp_path, "a")
    results: list[Result] = []
    predictor = Late(model, lambda _: write(tmp_path, "red"))
    with watching(station, predictor=predictor, on_result=results.append) as store:
        wait_until(store.count)
        _, stamps = kept(store, "a")
    assert len(predictor.answers) == 2
    assert stamps == {path.name: stamp_of(path) for path in station.watch.iterdir()}


def test_files_changed_while_they_are_read_are_read_again(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = make_station(tmp_path, model)
    planes(tmp_path, "a")
    new = random_planes(np.random.default_rng(78))
    opened = scenes.open_scenes
    changed: list[Path] = []

    def changing(path: Path, **more: Any) -> Any:
        if not changed:
            changed.append(path)
            write_planes(station.watch, "a", new)
        return opened(path, **more)

    monkeypatch.setattr(field_source, "open_scenes", changing)
    results: list[Result] = []
    with watching(station, on_result=results.append) as store:
        wait_until(store.count)
        result, stamps = kept(store, "a")
    (expected,) = Predictor.load(model, device="cpu").predict_planes(new[None])
    assert [one.error for one in results] == [None]
    np.testing.assert_array_equal(np.array(result.probabilities, np.float32), expected.probabilities)
    assert stamps == {path.name: stamp_of(path) for path in station.watch.iterdir()}


def test_a_later_difference_is_seen_by_what_was_read(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replaced after they were read and before the result is kept: the result is of the old ones, and is replaced."""
    monkeypatch.setattr(arrivals, "LOOKS_A_ROUND", 1)
    station = make_station(tmp_path, model)
    planes(tmp_path, "a")
    new = random_planes(np.random.default_rng(79))
    predictor = Late(model, lambda _: None)
    stream = predictor.stream

    def streaming(samples: Iterator[Sample]) -> Iterator[object]:
        for answer in stream(samples):
            if len(predictor.answers) == 1:
                write_planes(station.watch, "a", new)
            yield answer

    predictor.stream = streaming  # type: ignore[method-assign]
    results: list[Result] = []
    with watching(station, predictor=predictor, on_result=results.append) as store:
        wait_until(lambda: len(results) == 2)
        result, stamps = kept(store, "a")
    (expected,) = predictor._predictor.predict_planes(new[None])
    np.testing.assert_array_equal(np.array(result.probabilities, np.float32), expected.probabilities)
    assert stamps == {path.name: stamp_of(path) for path in station.watch.iterdir()}


def put_zarr(path: Path, seed: int) -> None:
    put_image(zarr.open_group(path, mode="w", zarr_format=2), stack(seed=seed), "0.4")


def test_an_ome_zarr_written_again_in_place_is_answered_again(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model, files=f"white = 4095\n{CHANNELS}")
    put_zarr(station.watch / "a.zarr", 1)
    with watching(station) as store:
        wait_until(store.count)
        (first,) = store.newest(1)
        put_zarr(station.watch / "a.zarr", 2)
        wait_until(lambda: store.newest(1) != [first])
        (second,) = store.newest(1)
    predictor = Predictor.load(model, device="cpu", white=4095)
    (expected,) = predictor.predict_planes(stack(seed=2)[list(ORDER), 0][None])
    np.testing.assert_allclose(second.probabilities, expected.probabilities, atol=1e-6)
    assert not any("earlier" in note for note in second.notes)


def test_an_ome_zarr_with_old_chunks_waits_and_counts_them(
    tmp_path: Path, model: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = make_station(
        tmp_path,
        model,
        files=f"white = 4095\n{CHANNELS}",
        settle_seconds=0.5,
        looks=1,
        plane_timeout_seconds=TIMEOUT,
    )
    watch = Watch(station, ledger, monkeypatch)
    put_zarr(station.watch / "a.zarr", 1)
    watch.answer()
    time.sleep(0.05)
    for chunk in ("0/0.0.0.0", "0/1.0.0.0"):
        shutil.copy(station.watch / "a.zarr" / chunk, tmp_path / "chunk")
        (tmp_path / "chunk").replace(station.watch / "a.zarr" / chunk)
    assert watch.after(1) == []
    (note,) = watch.answer(TIMEOUT).notes
    assert "2 of 4 chunk files in a.zarr are of an earlier writing" in note


def test_folders_are_looked_into_by_turns_at_a_bounded_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(folder_turns, "time", SimpleNamespace(perf_counter=lambda: now))
    turns = folder_turns.FolderTurns()
    turns.renew([f"{at}.zarr" for at in range(3)])
    looks = []
    for _ in range(4000):
        for name in turns.now():
            looks.append(name)
            now += 0.5  # a folder of many chunks on a slow share
        now += 0.25
        turns.renew([f"{at}.zarr" for at in range(3)])
    assert looks[:4] == ["0.zarr", "1.zarr", "2.zarr", "0.zarr"]
    assert 0.5 * len(looks) / now <= folder_turns.SHARE
    assert 0.5 * len(looks) / now > folder_turns.SHARE / 2
