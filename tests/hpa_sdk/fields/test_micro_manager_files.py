"""Micro-Manager's TIFFs are read by their index: each position is a field, whole or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.field_source import FieldReading, FieldSource
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.scenes import open_scenes
from tests.hpa_sdk.fields.made_micro_manager import Key, ome_of, write_image_stack, write_ndtiff
from tests.hpa_sdk.workstation.written import ORDER, fields_of, stack, station

CHANNELS = "[channels]\nred = ['mt']\ngreen = ['poi']\nblue = ['dapi']\nyellow = ['er']"


def planes_of(position: int, z: int = 1) -> dict[Key, npt.NDArray[Any]]:
    data = stack(z=z, seed=position)
    return {(position, at, channel): data[channel, at] for at in range(z) for channel in range(4)}


def read(folder: Path, files: str = "white = 4095") -> dict[str, FieldReading | str]:
    """What each field of a folder's ``exports`` is read as, or why it is refused."""
    found: dict[str, FieldReading | str] = {}
    for sample in fields_of(station(folder, files=files, channels=CHANNELS)):
        assert isinstance(sample.source, FieldSource)
        try:
            found[sample.id] = sample.source.look()
        except PlaneError as error:
            found[sample.id] = str(error)
    assert not any("damaged" in reading for reading in found.values() if isinstance(reading, str))
    return found


def check(found: FieldReading | str, position: int, z: int = 1) -> None:
    assert isinstance(found, FieldReading), found
    np.testing.assert_array_equal(found.planes, stack(z=z, seed=position).max(1)[list(ORDER)])
    assert found.pixel_size == pytest.approx(0.1)


def write_positions(folder: Path, count: int, z: int, *, keep: int | None = None, ome: bool = True) -> None:
    files = {f"day_MMStack_Pos{at}.ome.tif": list(planes_of(at, z)) for at in range(count)}
    text = ome_of(files, (40, 48), z) if ome else ""
    for at, name in enumerate(files):
        if keep in {None, at}:
            write_image_stack(folder / "exports" / name, planes_of(at, z), positions=count, depth=z, ome=text)


@pytest.mark.parametrize("z", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("ome", [True, False])
def test_each_position_is_a_field(tmp_path: Path, count: int, z: int, ome: bool) -> None:
    write_positions(tmp_path, count, z, ome=ome)
    found = read(tmp_path)
    assert list(found) == [f"day_MMStack_Pos{at}.ome.tif" for at in range(count)]
    for position, reading in enumerate(found.values()):
        check(reading, position, z)


@pytest.mark.parametrize("keep", [0, 1])
def test_a_position_needs_no_other(tmp_path: Path, keep: int) -> None:
    write_positions(tmp_path, 2, 3, keep=keep)
    ((_, reading),) = read(tmp_path).items()
    check(reading, keep, 3)


def test_a_copy_under_another_name_is_read(tmp_path: Path) -> None:
    write_positions(tmp_path, 2, 1)
    exports = tmp_path / "exports"
    (exports / "day_MMStack_Pos1.ome.tif").rename(exports / "mitosis.tif")
    check(read(tmp_path)["mitosis.tif"], 1)


def test_positions_in_one_file_are_scenes(tmp_path: Path) -> None:
    planes = planes_of(0, 2) | planes_of(1, 2)
    write_image_stack(tmp_path / "exports" / "day_MMStack.ome.tif", planes, positions=2, depth=2)
    found = read(tmp_path)
    assert list(found) == ["day_MMStack.ome.tif#1", "day_MMStack.ome.tif#2"]
    for position, reading in enumerate(found.values()):
        check(reading, position, 2)


def write_split(folder: Path, *, missing: int | None = None) -> list[str]:
    """Write a position of 3 z planes in three files, as at 4 GB."""
    names = [f"day_MMStack_Pos0{end}.ome.tif" for end in ("", "_1", "_2")]
    planes = list(planes_of(0, 3).items())
    parts = dict(zip(names, (dict(planes[:5]), dict(planes[5:9]), dict(planes[9:])), strict=True))
    text = ome_of({name: list(part) for name, part in parts.items()}, (40, 48), 3)
    for at, (name, part) in enumerate(parts.items()):
        if at != missing:
            write_image_stack(folder / "exports" / name, part, depth=3, ome=text)
    return names


def test_a_position_in_several_files_is_read_as_one(tmp_path: Path) -> None:
    names = write_split(tmp_path)
    found = read(tmp_path)
    reading = found[names[0]]
    check(reading, 0, 3)
    assert isinstance(reading, FieldReading)
    assert f"it is read together with {names[1]}, {names[2]}" in reading.notes
    assert len(found) == 1
    for name in names[1:]:
        with pytest.raises(PlaneError, match=f"belong to the field of {names[0]}"):
            list(find_samples(tmp_path / "exports" / name))


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_part_of_a_position_is_refused(tmp_path: Path, missing: int) -> None:
    names = write_split(tmp_path, missing=missing)
    found = read(tmp_path)
    message = str(found[names[1 if missing == 0 else 0]])
    assert "planes of its position are missing" in message
    if missing:
        assert f"{names[missing]} is not there" in message
        assert {1: "POI z 1", 2: "POI z 2"}[missing] in message


def test_a_stopped_acquisition_is_refused(tmp_path: Path) -> None:
    planes = dict(list(planes_of(0, 3).items())[:8])
    write_image_stack(tmp_path / "exports" / "day_MMStack_Pos0.ome.tif", planes, depth=3)
    (message,) = read(tmp_path).values()
    assert "DAPI z 2, POI z 2, MT z 2, ER z 2" in str(message)
    assert "stopped" in str(message)


def test_another_acquisition_beside_it_is_not_joined(tmp_path: Path) -> None:
    first, later = dict(list(planes_of(0, 2).items())[:4]), dict(list(planes_of(0, 2).items())[4:])
    write_image_stack(tmp_path / "exports" / "day_MMStack_Pos0.ome.tif", first, depth=2, StartTime="9:00")
    write_image_stack(tmp_path / "exports" / "day_MMStack_Pos0_1.ome.tif", later, depth=2, StartTime="9:30")
    assert all("are missing" in str(message) for message in read(tmp_path).values())


@pytest.mark.parametrize(("kept", "serves"), [(1, True), (0, False), (2, False)])
def test_a_channel_without_z_stack_serves(tmp_path: Path, kept: int, serves: bool) -> None:
    planes = {key: plane for key, plane in planes_of(0, 3).items() if key[2] != 3 or key[1] == kept}
    write_image_stack(tmp_path / "exports" / "day_MMStack_Pos0.ome.tif", planes, depth=3)
    (found,) = read(tmp_path).values()
    if serves:
        assert isinstance(found, FieldReading)
        np.testing.assert_array_equal(found.planes[3], stack(z=3)[3, kept])
        assert "channel yellow has one plane, taken for every z" in found.notes
    else:
        assert "ER z" in str(found)


def test_time_points_are_refused(tmp_path: Path) -> None:
    write_image_stack(tmp_path / "exports" / "day_MMStack_Pos0.ome.tif", planes_of(0), Frames=5)
    assert "5 time points" in str(*read(tmp_path).values())


def test_a_summary_of_endless_planes_is_damage(tmp_path: Path) -> None:
    path = write_image_stack(tmp_path / "exports" / "day_MMStack_Pos0.ome.tif", planes_of(0), depth=10**9)
    with open_scenes(path) as scenes, pytest.raises(PlaneError, match="gives 4000000000 planes"):
        scenes["0"]()


def test_an_index_that_leads_out_of_the_file_is_damage(tmp_path: Path) -> None:
    path = write_image_stack(tmp_path / "exports" / "day_MMStack_Pos0.ome.tif", planes_of(0))
    with tifffile.TiffFile(path) as file:
        offset = file.pages.get(2).offset
    content = path.read_bytes()
    at = content.rindex(offset.to_bytes(4, "little"))
    path.write_bytes(content[:at] + (10**8).to_bytes(4, "little") + content[at + 4 :])
    (sample,) = fields_of(station(tmp_path, channels=CHANNELS))
    assert isinstance(sample.source, FieldSource)
    with pytest.raises(PlaneError, match="damaged"):
        sample.source.look()


def pictures(position: int, z: int = 1, *, names: Any = ("DAPI", "POI", "MT", "ER")) -> Any:
    return [
        ({"position": position, "z": at, "channel": names[channel]}, plane)
        for (_, at, channel), plane in planes_of(position, z).items()
    ]


@pytest.mark.parametrize("z", [1, 3])
def test_positions_of_an_ndtiff_are_fields(tmp_path: Path, z: int) -> None:
    write_ndtiff(tmp_path / "exports", {"NDTiffStack.tif": pictures(0, z) + pictures(1, z)})
    found = read(tmp_path)
    assert list(found) == ["NDTiffStack.tif#1", "NDTiffStack.tif#2"]
    for position, reading in enumerate(found.values()):
        check(reading, position, z)


def test_an_ndtiff_in_two_files_is_read_whole(tmp_path: Path) -> None:
    every = pictures(0, 3)
    write_ndtiff(tmp_path / "exports", {"NDTiffStack.tif": every[:7], "NDTiffStack_1.tif": every[7:]})
    found = read(tmp_path)
    check(found["NDTiffStack.tif"], 0, 3)
    assert list(found) == ["NDTiffStack.tif"]
    (tmp_path / "exports" / "NDTiffStack_1.tif").unlink()
    assert "names NDTiffStack_1.tif, which is not there" in str(*read(tmp_path).values())


def test_an_ndtiff_without_its_index_says_so(tmp_path: Path) -> None:
    write_ndtiff(tmp_path / "exports", {"NDTiffStack.tif": pictures(0)})
    (tmp_path / "exports" / "NDTiff.index").unlink()
    assert "index (NDTiff.index) is not beside it" in str(*read(tmp_path).values())


def test_z_and_channels_of_an_ndtiff_may_be_any_numbers(tmp_path: Path) -> None:
    every = [({**axes, "z": axes["z"] - 1}, plane) for axes, plane in reversed(pictures(0, 3, names=(0, 1, 2, 3)))]
    write_ndtiff(tmp_path / "exports", {"NDTiffStack.tif": every})
    channels = "[channels]\nred = [2]\ngreen = [1]\nblue = [0]\nyellow = [3]"
    (sample,) = fields_of(station(tmp_path, files="z = 0", channels=channels))
    assert isinstance(sample.source, FieldSource)
    np.testing.assert_array_equal(sample.source.look().planes, stack(z=3)[list(ORDER), 0])
