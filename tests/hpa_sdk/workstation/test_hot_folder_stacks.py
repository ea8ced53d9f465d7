"""A hot folder waits until a stack, a series or a folder of chunks is whole, and answers what it is then."""

import shutil
import time
from pathlib import Path

import pytest
import tifffile
import zarr

from hpa_sdk.inference import prepared_field
from hpa_sdk.workstation import arrivals
from tests.hpa_sdk.workstation.watching import (
    QUICK,
    SETTLE,
    ArrivalClock,
    make_station,
    planes,
    rows,
    wait_until,
    watching,
)
from tests.hpa_sdk.workstation.written import CHANNELS, MICROMETRES, NAMES, put_image, stack, write_ome_tiff

LEICA = 'pattern = "leica"\n[channels]\nred = [0]\ngreen = [1]\nblue = [2]\nyellow = [3]'


def leica(folder: Path, *, time: int = 0, z: int = 0) -> list[Path]:
    """Write the four planes of a time point and a z as Leica names them."""
    files = planes(folder, "x").files
    names = [f"pos--T{time:04d}--Z{z:02d}--C0{at}.png" for at in range(4)]
    return [file.rename(folder / "exports" / name) for file, name in zip(files, names, strict=True)]


def write_scenes(path: Path, count: int) -> None:
    """Write a stack of several scenes, which appears whole."""
    aside = path.with_name(f".{path.name}")
    with tifffile.TiffWriter(aside, ome=True) as file:
        for seed in range(count):
            metadata = {"axes": "CZYX", "Channel": {"Name": list(NAMES)}}
            file.write(stack(seed=seed), metadata=metadata, photometric="minisblack")
    aside.replace(path)


def test_processing_notes_are_logged_once_and_kept_with_results(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepared_field._log_once.cache_clear()
    files = f"white = 'percentile'\n{CHANNELS}\n[trained]\npixel_size = 0.1\nside = 40"
    station = make_station(tmp_path, model, files=files)
    with watching(station) as store:
        for at, name in enumerate("ab", 1):
            write_ome_tiff(station.watch / f"{name}.ome.tif", stack(z=2))
            wait_until(lambda at=at: store.count() == at)  # type: ignore[misc]
        found = store.newest(9)
    unknown = "the pixel size is unknown, so nothing is rescaled: give files.pixel_size"
    assert [record.message for record in caplog.records].count(unknown) == 1
    for result in found:
        assert unknown in result.notes
        assert any(note.startswith("white is the 99.9th percentile of each plane: ") for note in result.notes)


def test_a_missing_z_plane_is_waited_for_then_named_and_not_lost(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model, files=LEICA, plane_timeout_seconds=6 * SETTLE)
    leica(tmp_path, z=0)
    late = shutil.move(leica(tmp_path, z=1)[3], tmp_path / "late.png")
    with watching(station) as store:
        wait_until(store.count)
        (failed,) = store.newest(1)
        assert failed.error is not None
        assert any("waited 0.9 s" in note for note in failed.notes)
        assert "missing (yellow z 01)" in failed.error.what
        shutil.move(late, tmp_path / "exports" / "pos--T0000--Z01--C03.png")
        wait_until(lambda: not store.count(failed=True))
        (found,) = store.newest(9)
    assert found.id == failed.id
    assert "maximum of 2 z planes" in found.notes


def test_a_bad_time_point_does_not_affect_the_others(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model, files=LEICA)
    leica(tmp_path, time=0)
    with watching(station) as store:
        wait_until(store.count)
        for file in leica(tmp_path, time=1):
            file.write_bytes(b"")
        wait_until(lambda: store.count(failed=True))
        leica(tmp_path, time=2)
        wait_until(lambda: store.count() == 3)
        found = {result.id: result.error for result in store.newest(9)}
    assert [found["pos_t0000"], found["pos_t0002"]] == [None, None]
    assert found["pos_t0001"] is not None


def test_planes_of_different_time_points_make_no_field(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model, files=LEICA, plane_timeout_seconds=2 * SETTLE)
    for file in leica(tmp_path)[3:]:
        file.rename(tmp_path / "exports" / "pos--T0001--Z00--C03.png")
    with watching(station) as store:
        wait_until(lambda: store.count() == 2)
        errors = {result.id: str(result.error) for result in store.newest(9)}
    assert "no channel is yellow" in errors["pos_t0000"]
    assert "no channel is red" in errors["pos_t0001"]


def test_results_name_scenes_of_a_stack_and_their_processing(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model, files=f"white = 4095\n{CHANNELS}")
    write_ome_tiff(station.watch / "one.ome.tif", stack(z=3), **MICROMETRES)
    write_scenes(station.watch / "two.ome.tif", 2)
    with watching(station) as store:
        wait_until(lambda: store.count() == 3)
        found = {result.id: result for result in store.newest(9)}
    assert sorted(found) == ["one.ome.tif", "two.ome.tif#1", "two.ome.tif#2"]
    assert found["two.ome.tif#1"].probabilities != found["two.ome.tif#2"].probabilities
    assert "maximum of 3 z planes" in found["one.ome.tif"].notes


@pytest.mark.parametrize("counts", [(2, 1), (1, 2), (0, 2), (3, 2)])
def test_scenes_that_a_stack_has_no_more_leave_no_result(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, counts: tuple[int, int]
) -> None:
    monkeypatch.setattr(arrivals, "LOOKS_A_ROUND", 1)
    station = make_station(tmp_path, model, files=f"white = 4095\n{CHANNELS}")
    path = station.watch / "a.ome.tif"
    before, after = ([f"a.ome.tif#{at + 1}" for at in range(count)] if count > 1 else ["a.ome.tif"] for count in counts)
    with watching(station) as store:
        if counts[0]:
            write_scenes(path, counts[0])
        else:
            path.write_bytes(b"")
        wait_until(lambda: store.count() == len(before))
        first = store.newest(9)
        write_scenes(path, counts[1])
        wait_until(lambda: store.newest(9)[0].time > first[0].time)
        wait_until((station.output / f"{after[-1]}.json").exists)
    assert sorted(result.id for result in first) == before
    assert sorted(row["id"] for row in rows(station.output)) == after
    assert sorted(path.name for path in station.output.glob("*.json")) == [f"{name}.json" for name in after]


def copy_slowly(whole: Path, place: Path, *, most: int = 999) -> None:
    """Copy a folder's files, the first by their names, one after the other, where they are not there yet."""
    for file in sorted(path for path in whole.rglob("*") if path.is_file())[:most]:
        target = place / file.relative_to(whole)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(file, target)
            time.sleep(SETTLE / 4)


def whole_zarr(folder: Path) -> Path:
    put_image(zarr.open_group(folder / "whole.zarr", mode="w", zarr_format=2), stack(), "0.4")
    return folder / "whole.zarr"


def test_an_ome_zarr_is_answered_after_its_last_chunk_settled(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ArrivalClock(monkeypatch)
    station = make_station(tmp_path, model, files=f"white = 4095\n{CHANNELS}", settle_seconds=QUICK)
    whole = whole_zarr(tmp_path)
    with watching(station) as store:
        for file in sorted(path for path in whole.rglob("*") if path.is_file()):
            place = station.watch / "a.zarr" / file.relative_to(whole)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
            clock.let_pass(QUICK * 0.7)
            assert store.count() == 0
        clock.let_pass(QUICK)
        wait_until(store.count)
        assert not store.count(failed=True)


def test_a_copy_that_pauses_is_waited_for(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model, files=f"white = 4095\n{CHANNELS}")
    whole = whole_zarr(tmp_path)
    with watching(station) as store:
        copy_slowly(whole, station.watch / "a.zarr", most=5)
        time.sleep(10 * SETTLE)
        assert store.count() == 0
        copy_slowly(whole, station.watch / "a.zarr")
        wait_until(store.count)
        assert not store.count(failed=True)


def test_an_endless_copy_is_reported_and_a_late_one_is_not_lost(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "LOOKS_A_ROUND", 1)
    station = make_station(tmp_path, model, files=f"white = 4095\n{CHANNELS}", plane_timeout_seconds=3 * SETTLE)
    whole = whole_zarr(tmp_path)
    copy_slowly(whole, station.watch / "a.zarr", most=5)
    with watching(station) as store:
        wait_until(store.count)
        assert "a part of its pixels is not there" in str(store.newest(1)[0].error)
        copy_slowly(whole, station.watch / "a.zarr")
        wait_until(lambda: not store.count(failed=True))
    assert [row["error"] for row in rows(station.output)] == [""]
