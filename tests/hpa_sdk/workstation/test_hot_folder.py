"""A hot folder answers each field once, as soon as it is all there, whatever its form."""

import os
import random
import shutil
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from hpa_sdk.fields.file_group import group_files, group_names
from hpa_sdk.predictor import Predictor
from hpa_sdk.workstation.station import Cells
from hpa_sdk.workstation.watched_files import is_plane_file, list_names
from tests.hpa_sdk.workstation.watching import (
    QUICK,
    RNG,
    SETTLE,
    ArrivalClock,
    json_of,
    make_station,
    planes,
    rows,
    settled,
    wait_until,
    watching,
)
from tests.small import CARD, make_field, random_planes, write_planes


def test_planes_in_any_order_give_the_predictor_s_answer(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model)
    elsewhere = [make_field(tmp_path / "elsewhere", f"Zelle ö {at}", RNG) for at in range(3)]
    files = [file for sample in elsewhere for file in sample.files]
    random.Random(1).shuffle(files)  # noqa: S311 - a repeatable order
    with watching(station) as store:
        for file in files:
            shutil.copy(file, tmp_path / "exports")
            time.sleep(SETTLE / 4)
        wait_until(lambda: store.count() == 3)
        settled()
    assert sorted(row["id"] for row in rows(station.output)) == [sample.id for sample in elsewhere]
    for prediction in Predictor.load(model, device="cpu").predict(elsewhere):
        found = json_of(tmp_path, prediction.id)
        np.testing.assert_array_equal(np.float32(found["probabilities"]), prediction.probabilities)
        assert found["device"] == "cpu"
        assert [Path(file).parent.name for file in found["files"]] == ["exports"] * 4


@pytest.mark.parametrize("cells", [False, True])
def test_a_folder_may_be_named_from_the_working_folder(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, *, cells: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    station = make_station(tmp_path, model)
    station = msgspec.structs.replace(station, watch=Path("exports"), cells=Cells() if cells else None)
    assert station.watch == tmp_path / "exports"
    with watching(station) as store:
        sample = make_field(tmp_path / "exports", "a", RNG)
        wait_until(lambda: store.count() == 1)
        settled()
        [result] = store.newest(2)
        assert store.ledger.count() == 1
    assert sorted(result.files) == sorted(map(str, sample.files))
    assert (result.cells is not None) == cells


def test_warnings_are_signalled_after_their_results(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model)
    spoiled = random_planes(RNG)
    spoiled[1] = 0
    write_planes(station.watch, "spoiled", spoiled)
    make_field(station.watch, "good", RNG)
    seen: list[tuple[str, str]] = []
    signals = {
        "on_result": lambda result: seen.append(("result", result.id)),
        "on_warning": lambda result: seen.append((*result.flags, result.id)),
    }
    with watching(station, **signals) as store:
        wait_until(lambda: store.count() == 2)
    assert sorted(seen) == [("constant green", "spoiled"), ("result", "good"), ("result", "spoiled")]
    assert seen.index(("result", "spoiled")) < seen.index(("constant green", "spoiled"))


def test_nothing_is_answered_while_it_is_written(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ArrivalClock(monkeypatch)
    station = make_station(tmp_path, model, settle_seconds=QUICK)
    sample = make_field(tmp_path / "elsewhere", "a", RNG)
    *others, last = sample.files
    with watching(station) as store:
        for file in others:
            shutil.copy(file, tmp_path / "exports")
        content = last.read_bytes()
        with (tmp_path / "exports" / last.name).open("wb") as slow:
            for at in range(0, len(content), len(content) // 12):
                slow.write(content[at : at + len(content) // 12])
                slow.flush()
                clock.let_pass(QUICK * 0.7)
                assert store.count() == 0
        clock.let_pass(QUICK)
        wait_until(store.count)
        assert not store.count(failed=True)


def test_a_missing_colour_is_named_and_a_late_plane_is_not_lost(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model, plane_timeout_seconds=3 * SETTLE)
    sample = planes(tmp_path, "a")
    late = shutil.move(sample.files[3], tmp_path / "late.png")
    with watching(station) as store:
        wait_until(store.count)
        (failed,) = store.newest(1)
        assert failed.error is not None
        assert "no channel is yellow" in failed.error.what
        assert any("waited 0.45 s" in note for note in failed.notes)
        settled()
        assert [result.time for result in store.newest(5)] == [failed.time]
        shutil.move(late, sample.files[3])
        wait_until(lambda: not store.count(failed=True))
    (row,) = rows(station.output)
    assert (row["id"], row["error"]) == ("a", "")


@pytest.mark.parametrize("recursive", [False, True])
def test_results_beside_the_images_are_no_arrivals(tmp_path: Path, model: Path, recursive: bool) -> None:
    station = make_station(tmp_path, model, files=f'pattern = "hpa"\nrecursive = {str(recursive).lower()}')
    beside = type(station)(
        model=model,
        watch=station.watch,
        output=station.watch,
        files=station.files,
        arrival=station.arrival,
        device="cpu",
    )
    make_field(station.watch / "below" / "more", "a", RNG)
    planes(tmp_path, "a")
    with watching(beside) as store:
        wait_until(lambda: store.count() == 1 + recursive)
        settled()
        ids = sorted(result.id for result in store.newest(9))
    assert ids == (["a", "below/more/a"] if recursive else ["a"])
    assert (station.watch / "below" / "more" / "a.json").exists() == recursive
    names = [name for name in list_names(station.watch, recursive=True) if is_plane_file(station.watch, name)]
    assert {Path(name).suffix for name in names} == {".png"}


def test_old_files_can_be_skipped_but_never_new_ones(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model)
    old = planes(tmp_path, "old")
    torn = planes(tmp_path, "torn")
    late = shutil.move(torn.files[2], tmp_path / "late.png")
    with watching(station, existing="skip") as store:
        wait_until(lambda: store.ledger.fact("begun"))
        planes(tmp_path, "new")
        wait_until(store.count)
    planes(tmp_path, "while away")
    with watching(station, existing="skip") as store:
        shutil.move(late, torn.files[2])
        wait_until(lambda: store.count() == 3)
        settled()
        assert sorted(result.id for result in store.newest(9)) == ["new", "torn", "while away"]
    assert old.files[0].exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows refuses such names itself")
def test_names_that_can_t_be_used_are_distinguished(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model)
    for name in ("a\x01", "a\x02", "a_", "a\\b"):
        planes(tmp_path, name)
    with watching(station) as store:
        wait_until(lambda: store.count() == 4)
        found = {result.id: result.error for result in store.newest(9)}
    assert found.pop("a_") is None
    assert all(error and "can't be the name of a field" in error.what for error in found.values())
    assert {path.parent for path in tmp_path.rglob("*.json")} == {station.output}


NAMES = (
    *(
        "a_red.png",
        "a_red.tif",
        "b_GREEN.ome.tiff",
        "c.ome.tif",
        "c.tif",
        "d.txt",
        "e",
        ".f_red.png",
        "g.nd2",
        "sub.tif",
    ),
    *("x--T0001--Z02--C03.tif", "y_t0_z00_ch00.tif", "sub/a_red.png", "sub/deep/z_blue.jpg", "sub/c.lif", "_red.png"),
)


@pytest.mark.parametrize("pattern", ["", 'pattern = "hpa"', 'pattern = "leica"'])
@pytest.mark.parametrize("recursive", ["true", "false"])
def test_names_are_grouped_as_a_folder_is(tmp_path: Path, model: Path, pattern: str, recursive: str) -> None:
    station = make_station(tmp_path, model, files=f"{pattern}\nrecursive = {recursive}")
    for name in NAMES:
        (station.watch / name).parent.mkdir(parents=True, exist_ok=True)
        (station.watch / name).touch()
    (station.watch / "v.zarr").mkdir()
    (station.watch / "v.zarr" / "0_red.png").touch()
    listed = list_names(station.watch, recursive=station.files.recursive)
    names = [name for name in listed if is_plane_file(station.watch, name)]
    found = {(group.id, frozenset(group.planes)) for group in group_names(station, station.watch, names)}
    assert found == {(group.id, frozenset(group.planes)) for group in group_files(station, station.watch)}
    assert found


def test_fields_are_scaled_as_the_card_states(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model, files="pattern = 'hpa'\npixel_size = 0.16")
    predictor = Predictor.load(model, device="cpu")
    predictor.card = replace(predictor.card, training=replace(CARD.training, pixel_size=0.32, field_side=24))
    make_field(station.watch, "a", RNG, side=48)
    with watching(station, predictor=predictor) as store:
        wait_until(lambda: store.count() == 1)
    assert "resized by 0.5 to the pixel size of training" in " ".join(json_of(tmp_path, "a")["notes"])
