"""Each existing well of a plate is answered, even if the metadata list others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import zarr

from tests.hpa_sdk.fields.zarr_forms import describe, open_group, outcomes, planes, put
from tests.hpa_sdk.workstation.watching import json_of, make_station, wait_until, watching
from tests.hpa_sdk.workstation.written import CHANNELS, refusal

WELLS = ("A/1", "A/2", "A/3")
VERSIONS = pytest.mark.parametrize("version", ["0.4", "0.5"])


def plate(path: Path, version: str = "0.4", wells: tuple[str, ...] = WELLS, fields: int = 1, **changes: Any) -> Path:
    """Write a plate; the planes of the fields of its wells have the seeds 0, 1, 2, ..."""
    group = open_group(path, version)
    metadata = {
        "wells": [{"path": well, "rowIndex": 0, "columnIndex": at} for at, well in enumerate(wells)],
        "rows": [{"name": "A"}],
        "columns": [{"name": str(at + 1)} for at in range(len(wells))],
        "field_count": fields,
        **changes,
    }
    describe(group, {"plate": metadata}, version)
    for at, well in enumerate(wells):
        part = group.create_group(well)
        describe(part, {"well": {"images": [{"path": str(field)} for field in range(fields)]}}, version)
        for field in range(fields):
            put(part.create_group(str(field)), planes(at * fields + field), version)
    return path


def missing(found: dict[str, int | str], place: str) -> str:
    """Take the one failure out of what was found."""
    message = found.pop(place)
    assert isinstance(message, str)
    assert "damaged" not in message
    return message


@VERSIONS
def test_a_listed_well_that_is_not_there_fails_alone(tmp_path: Path, version: str) -> None:
    shutil.rmtree(plate(tmp_path / "exports" / "p.zarr", version) / "A" / "2")
    found = outcomes(tmp_path)
    assert "A/2 is listed in its metadata, and is not there" in missing(found, "p.zarr#A/2")
    assert found == {"p.zarr#A/1/0": 0, "p.zarr#A/3/0": 2}


@VERSIONS
def test_a_listed_image_that_is_not_there_fails_alone(tmp_path: Path, version: str) -> None:
    shutil.rmtree(plate(tmp_path / "exports" / "p.zarr", version, fields=2) / "A" / "2" / "1")
    found = outcomes(tmp_path)
    assert "A/2/1 is listed in its metadata, and is not there" in missing(found, "p.zarr#A/2/1")
    assert found == {"p.zarr#A/1/0": 0, "p.zarr#A/1/1": 1, "p.zarr#A/2/0": 2, "p.zarr#A/3/0": 4, "p.zarr#A/3/1": 5}


@VERSIONS
@pytest.mark.parametrize("empty", [True, False])
def test_a_well_without_metadata_costs_no_other(tmp_path: Path, version: str, *, empty: bool) -> None:
    well = plate(tmp_path / "exports" / "p.zarr", version) / "A" / "2"
    if version == "0.4":
        (well / ".zattrs").unlink()
    else:
        (well / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}))
    if empty:
        shutil.rmtree(well / "0")
    found = outcomes(tmp_path)
    if empty:
        assert "A/2 has no metadata that name a picture" in missing(found, "p.zarr#A/2")
    else:
        assert found.pop("p.zarr#A/2/0") == 1
    assert found == {"p.zarr#A/1/0": 0, "p.zarr#A/3/0": 2}


@VERSIONS
def test_a_well_that_is_being_copied_costs_no_other(tmp_path: Path, version: str) -> None:
    picture = plate(tmp_path / "exports" / "p.zarr", version) / "A" / "2" / "0"
    for name in (".zgroup", ".zattrs", "zarr.json"):
        (picture / name).unlink(missing_ok=True)
    found = outcomes(tmp_path)
    assert "A/2/0 is listed in its metadata, and the metadata of it are not there" in missing(found, "p.zarr#A/2/0")
    assert found == {"p.zarr#A/1/0": 0, "p.zarr#A/3/0": 2}
    shutil.rmtree(picture / "0")


def test_a_picture_without_its_pixels_fails_alone(tmp_path: Path) -> None:
    shutil.rmtree(plate(tmp_path / "exports" / "p.zarr") / "A" / "2" / "0" / "0")
    found = outcomes(tmp_path)
    assert "its pixels (A/2/0/0) are not there" in missing(found, "p.zarr#A/2/0")
    assert found == {"p.zarr#A/1/0": 0, "p.zarr#A/3/0": 2}


def test_a_well_with_damaged_metadata_costs_no_other(tmp_path: Path) -> None:
    (plate(tmp_path / "exports" / "p.zarr") / "A" / "2" / ".zattrs").write_text("{")
    found = outcomes(tmp_path)
    assert "damaged" in str(found.pop("p.zarr#A/2"))
    assert found == {"p.zarr#A/1/0": 0, "p.zarr#A/3/0": 2}


@pytest.mark.parametrize(
    ("wells", "ids"),
    [
        (("AA/01", "AA/48"), ("AA/01", "AA/48")),
        (("Row 1/Column 1", "ä/β"), ("Row 1/Column 1", "ä/β")),
        (("A#/1", "A_/1"), ("A_/1", "A_/1")),
        (("1/1", "1/2"), ("1/1", "1/2")),
    ],
)
def test_wells_of_unusual_names_are_distinguished(tmp_path: Path, wells: tuple[str, ...], ids: tuple[str, ...]) -> None:
    plate(tmp_path / "exports" / "p.zarr", wells=wells)
    labels = [f"p.zarr#{well}/0" for well in ids]
    if labels[0] == labels[1]:
        labels[1] += "_"
    assert outcomes(tmp_path) == {labels[0]: 0, labels[1]: 1}


def test_a_well_without_a_path_goes_by_row_and_column(tmp_path: Path) -> None:
    wells = [{"rowIndex": 0, "columnIndex": at} for at in range(3)] + [{"rowIndex": 7, "columnIndex": 0}]
    path = plate(tmp_path / "exports" / "p.zarr")
    group = zarr.open_group(path, mode="r+")
    metadata: Any = group.attrs["plate"]
    group.attrs["plate"] = {**metadata, "wells": wells}
    found = outcomes(tmp_path)
    assert "well 3 is listed in its metadata, and is not there" in missing(found, "p.zarr#well 3")
    assert found == {"p.zarr#A/1/0": 0, "p.zarr#A/2/0": 1, "p.zarr#A/3/0": 2}


@VERSIONS
def test_each_acquisition_of_a_well_is_a_field(tmp_path: Path, version: str) -> None:
    path = plate(
        tmp_path / "exports" / "p.zarr",
        version,
        ("B/2",),
        fields=3,
        acquisitions=[{"id": 1, "maximumfieldcount": 2}, {"id": 2, "maximumfieldcount": 1}],
    )
    images = [{"path": str(at), "acquisition": 1 + at // 2} for at in range(3)]
    describe(zarr.open_group(path / "B" / "2", mode="r+"), {"well": {"images": images}}, version)
    assert outcomes(tmp_path) == {"p.zarr#B/2/0": 0, "p.zarr#B/2/1": 1, "p.zarr#B/2/2": 2}


def test_a_plate_without_wells_says_so(tmp_path: Path) -> None:
    describe(open_group(tmp_path / "exports" / "p.zarr"), {"plate": {"wells": []}})
    assert "its metadata list no wells" in refusal(tmp_path)


def test_a_well_by_itself_gives_its_fields(tmp_path: Path) -> None:
    well = plate(tmp_path / "p.zarr", fields=2) / "A" / "2"
    (tmp_path / "exports").mkdir()
    shutil.copytree(well, tmp_path / "exports" / "A2.zarr")
    assert outcomes(tmp_path) == {"A2.zarr#1": 2, "A2.zarr#2": 3}


def test_a_watch_answers_the_wells_that_are_there(tmp_path: Path, model: Path) -> None:
    rules = make_station(tmp_path, model, files=f"white = 4095\n{CHANNELS}", plane_timeout_seconds=0.3)
    shutil.rmtree(plate(tmp_path / "whole.zarr") / "A" / "2")
    shutil.move(tmp_path / "whole.zarr", rules.watch / "p.zarr")
    with watching(rules) as store:
        wait_until(lambda: store.count() == 3)
    assert "is not there" in json_of(tmp_path, "p.zarr#A/2")["error"]["what"]
    for well in ("A/1/0", "A/3/0"):
        assert json_of(tmp_path, f"p.zarr#{well}")["probabilities"]


def test_a_well_that_comes_late_is_answered_by_a_watch(tmp_path: Path, model: Path) -> None:
    rules = make_station(tmp_path, model, files=f"white = 4095\n{CHANNELS}", plane_timeout_seconds=0.3)
    well = plate(tmp_path / "whole.zarr") / "A" / "2"
    shutil.move(well, tmp_path / "late")
    shutil.move(tmp_path / "whole.zarr", rules.watch / "p.zarr")
    with watching(rules) as store:
        wait_until(lambda: store.count() == 3)
        shutil.copytree(tmp_path / "late", rules.watch / "p.zarr" / "A" / "2")
        wait_until((rules.output / "p.zarr#A" / "2" / "0.json").exists)
        wait_until(lambda: not (rules.output / "p.zarr#A" / "2.json").exists())
        assert store.count() == 3
