"""A scene keeps its name if its file has other content, and is found again by that name only."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from hpa_sdk.errors import HpaError, SampleError
from hpa_sdk.fields.file_group import UNSAFE, group_files
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Sample
from hpa_sdk.fields.stack_samples import samples_of, scene_of
from hpa_sdk.live.field_files import sample_of
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import ResultStore
from tests.hpa_sdk.workstation.watching import json_of, make_station, wait_until, watching
from tests.hpa_sdk.workstation.written import CHANNELS, ORDER, fields_of, put_image, stack, station

WELLS = ("A/1", "A/2", "B/7")


def write_plate(path: Path, wells: tuple[str, ...] = WELLS, version: str = "0.5") -> Path:
    """Write a plate of one field a well, whose planes are those of the well's place in `WELLS`."""
    plate = zarr.open_group(path, mode="w", zarr_format=3)
    plate.attrs["ome"] = {"version": "0.5", "plate": {"wells": [{"path": well} for well in wells]}}
    for well in wells:
        plate.create_group(well).attrs["ome"] = {"version": "0.5", "well": {"images": [{"path": "0"}]}}
        put_image(plate.create_group(f"{well}/0"), stack(seed=WELLS.index(well)), version)
    return path


def write_scenes(path: Path, *seeds: int) -> None:
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for seed in seeds:
            tiff.write(stack(seed=seed), metadata={"axes": "CZYX"}, photometric="minisblack")


def planes_of(sample: Sample) -> int:
    """Say which seed the planes of a sample are of."""
    planes = read_planes(sample)
    return next(seed for seed in range(9) if np.array_equal(planes, stack(seed=seed)[list(ORDER), 0]))


def test_a_field_of_a_plate_has_its_well_in_its_id(tmp_path: Path) -> None:
    write_plate(tmp_path / "exports" / "p.zarr")
    found = {sample.id: planes_of(sample) for sample in fields_of(station(tmp_path))}
    assert found == {"p.zarr#A/1/0": 0, "p.zarr#A/2/0": 1, "p.zarr#B/7/0": 2}


def test_wells_that_are_not_there_shift_no_other(tmp_path: Path) -> None:
    write_plate(tmp_path / "exports" / "listed.zarr", WELLS[1:])
    write_plate(tmp_path / "exports" / "one.zarr", WELLS[2:])
    shutil.rmtree(write_plate(tmp_path / "exports" / "torn.zarr") / "A" / "1")
    found: dict[str, Any] = {}
    for sample in fields_of(station(tmp_path)):
        try:
            found[sample.id] = planes_of(sample)
        except HpaError as error:
            found[sample.id] = str(error)
    assert "A/1" in found.pop("torn.zarr#A/1")
    assert found == {
        "listed.zarr#A/2/0": 1,
        "listed.zarr#B/7/0": 2,
        "one.zarr#B/7/0": 2,
        "torn.zarr#A/2/0": 1,
        "torn.zarr#B/7/0": 2,
    }


def test_a_series_that_is_not_there_hides_no_other(tmp_path: Path) -> None:
    series = zarr.open_group(tmp_path / "exports" / "s.zarr", mode="w", zarr_format=2)
    series.attrs["bioformats2raw.layout"] = 3
    for at in (0, 2, 10):
        put_image(series.create_group(str(at)), stack(seed=at % 9), "0.4")
    found = {sample.id: planes_of(sample) for sample in fields_of(station(tmp_path))}
    assert found == {"s.zarr#1": 0, "s.zarr#3": 2, "s.zarr#11": 1}


def test_wells_are_found_again_by_their_ids(tmp_path: Path) -> None:
    rules = station(tmp_path)
    plate = write_plate(rules.watch / "below" / "p.zarr")
    ids = {seed: f"below/p.zarr#{well}/0" for seed, well in enumerate(WELLS)}
    write_plate(plate, WELLS[1:])
    (group,) = group_files(rules, plate.parent)
    for seed in (1, 2):
        sample = scene_of(samples_of(rules, group), ids[seed])
        assert sample is not None
        assert planes_of(sample) == seed
        assert planes_of(sample_of(result(ids[seed], plate), rules, [rules.watch])) == seed
    for gone in (ids[0], "below/p.zarr#3", "p.zarr"):
        with pytest.raises(SampleError, match="no such scene any more"):
            sample_of(result(gone, plate), rules, [rules.watch])


def result(name: str, *files: Path) -> Result:
    return Result(id=name, files=tuple(map(str, files)), model_sha256="ab", device="cpu", time="")


def test_a_scene_that_is_gone_is_not_the_one_that_is_left(tmp_path: Path) -> None:
    rules = station(tmp_path, channels="[channels]\nred = [2]\ngreen = [1]\nblue = [0]\nyellow = [3]")
    path = tmp_path / "exports" / "a.tif"
    path.parent.mkdir()
    write_scenes(path, 0, 1)
    for seed in (0, 1):
        assert planes_of(sample_of(result(f"a.tif#{seed + 1}", path), rules, [rules.watch])) == seed
        assert planes_of(sample_of(result(f"a.tif#{seed + 1}-0123456789ab", path), rules, [rules.watch])) == seed
    write_scenes(path, 0)
    assert planes_of(sample_of(result("a.tif", path), rules, [rules.watch])) == 0
    with pytest.raises(SampleError, match="no such scene any more"):
        sample_of(result("a.tif#2", path), rules, [rules.watch])


@pytest.mark.parametrize("well", ["../../x", "A#1", "A/\x01", "/A", "A//1"])
def test_a_well_s_name_leads_nowhere_else(tmp_path: Path, well: str) -> None:
    plate = zarr.open_group(tmp_path / "exports" / "p.zarr", mode="w", zarr_format=3)
    plate.attrs["ome"] = {"version": "0.5", "plate": {"wells": [{"path": well}, {"path": well}]}}
    samples = list(fields_of(station(tmp_path)))
    with ResultStore(tmp_path) as store:
        for sample in samples:
            name, _, label = sample.id.partition("#")
            assert name == "p.zarr"
            assert not any(UNSAFE.search(part) for part in label.split("/"))
            assert "#" not in label
            assert tmp_path in store.json_path(sample.id).resolve().parents
            with pytest.raises(HpaError):
                read_planes(sample)


def test_results_of_a_plate_are_written_by_well(tmp_path: Path, model: Path) -> None:
    rules = make_station(tmp_path, model, files=f"white = 4095\n{CHANNELS}")
    write_plate(rules.watch / "p.zarr", WELLS[1:])
    with watching(rules) as store:
        wait_until(lambda: store.count() == 2)
        wait_until((rules.output / "p.zarr#B" / "7" / "0.json").exists)
    assert json_of(tmp_path, "p.zarr#A/2/0")["id"] == "p.zarr#A/2/0"
