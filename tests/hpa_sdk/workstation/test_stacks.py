"""Stacks of every format give the numbers of the formats' own libraries, with channels selected by name."""

import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from hpa_sdk import Predictor
from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.reading import read_planes
from tests.hpa_sdk.workstation.written import (
    BY_NUMBER,
    CHANNELS,
    MICROMETRES,
    NAMES,
    ORDER,
    fields_of,
    look,
    put_image,
    refusal,
    stack,
    station,
    write_ome_tiff,
    write_ome_zarr,
)


def test_an_ome_tiff_is_read_by_the_names_of_its_channels(tmp_path: Path) -> None:
    data = stack()
    path = write_ome_tiff(tmp_path / "exports" / "fält.ome.tif", data, **MICROMETRES)
    reading = look(tmp_path)
    assert reading.planes.dtype == np.uint16
    np.testing.assert_array_equal(reading.planes, tifffile.imread(path)[list(ORDER)])
    assert reading.pixel_size == pytest.approx(0.1)
    assert reading.size == (40, 48)
    assert [channel.description for channel in reading.channels] == [repr(NAMES[at]) for at in ORDER]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_ome_zarr_is_read_by_the_names_of_its_channels(tmp_path: Path, version: Any) -> None:
    path = write_ome_zarr(tmp_path / "exports" / "fält.zarr", stack(z=3), version, pixel_size=100, unit="nanometer")
    reading = look(tmp_path)
    array = np.asarray(zarr.open_array(path / "0", mode="r"))
    np.testing.assert_array_equal(reading.planes, array.max(1)[list(ORDER)])
    assert reading.pixel_size == pytest.approx(0.1)


@pytest.mark.parametrize("package", ["tifffile", "imagecodecs", "zarr"])
def test_a_missing_package_prints_the_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    (tmp_path / "exports").mkdir()
    if package == "zarr":
        (tmp_path / "exports" / "x.zarr").mkdir()
    else:
        (tmp_path / "exports" / "x.tif").touch()
    monkeypatch.setitem(sys.modules, package, None)
    assert "pip install 'hpa-sdk[workstation]'" in refusal(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw"},
        {"compression": "zlib", "predictor": True},
        {"byteorder": ">"},
        {"tile": (16, 16)},
        {"bigtiff": True},
        {"metadata": None},
        {"truncate": True},
    ],
)
def test_plain_stacks_are_read_by_number(tmp_path: Path, options: dict[str, Any]) -> None:
    data = stack()[:, 0]
    (tmp_path / "exports").mkdir()
    tifffile.imwrite(tmp_path / "exports" / "x.tif", data, photometric="minisblack", **options)
    reading = look(tmp_path, channels=BY_NUMBER)
    np.testing.assert_array_equal(reading.planes, data[list(ORDER)])
    assert reading.planes.dtype.isnative
    assert reading.pixel_size is None


def test_an_imagej_hyperstack_is_read_with_its_pixel_size(tmp_path: Path) -> None:
    data = stack(z=3)
    (tmp_path / "exports").mkdir()
    tifffile.imwrite(
        tmp_path / "exports" / "x.tif",
        data.swapaxes(0, 1),
        imagej=True,
        resolution=(10, 10),
        metadata={"axes": "ZCYX", "unit": "um"},
    )
    reading = look(tmp_path, channels=BY_NUMBER)
    np.testing.assert_array_equal(reading.planes, data.max(1)[list(ORDER)])
    assert reading.pixel_size == pytest.approx(0.1)


@pytest.mark.parametrize(("rule", "take"), [("'max'", slice(None)), ("'middle'", [2]), ("0", [0]), ("4", [4])])
def test_the_chosen_planes_of_a_z_stack_are_taken_and_reported(tmp_path: Path, rule: str, take: Any) -> None:
    data = stack(z=5)
    write_ome_tiff(tmp_path / "exports" / "x.ome.tif", data)
    reading = look(tmp_path, files=f"z = {rule}")
    np.testing.assert_array_equal(reading.planes, data[:, take].max(1)[list(ORDER)])
    assert any("of 5 z planes" in note for note in reading.notes)
    assert "of 5 z planes" in reading.channels[0].description


def test_a_z_plane_beyond_the_stack_is_refused(tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "exports" / "x.ome.tif", stack(z=3))
    assert "z plane 3 is asked for, and there are 3" in refusal(tmp_path, files="z = 3")


def test_each_scene_is_a_field(tmp_path: Path, model: Path) -> None:
    exports = tmp_path / "exports"
    exports.mkdir()
    data = [stack(seed=seed)[:, 0] for seed in range(6)]
    with tifffile.TiffWriter(exports / "a.ome.tif", ome=True) as tiff:
        for at in (0, 1):
            metadata = {"axes": "CYX", "Channel": {"Name": list(NAMES)}, "Name": f"position {at}"}
            tiff.write(data[at], metadata=metadata, photometric="minisblack")
    series = zarr.open_group(exports / "b.zarr", mode="w", zarr_format=2)
    series.attrs["bioformats2raw.layout"] = 3
    plate = zarr.open_group(exports / "c.zarr", mode="w", zarr_format=3)
    plate.attrs["ome"] = {"version": "0.5", "plate": {"wells": [{"path": "A/1"}]}}
    plate.create_group("A/1").attrs["ome"] = {"version": "0.5", "well": {"images": [{"path": "0"}, {"path": "1"}]}}
    for at in (0, 1):
        put_image(series.create_group(str(at)), data[2 + at][:, None], "0.4")
        put_image(plate.create_group(f"A/1/{at}"), data[4 + at][:, None], "0.5")
    samples = list(fields_of(station(tmp_path)))
    assert [sample.id for sample in samples] == [
        *("a.ome.tif#1", "a.ome.tif#2"),
        *("b.zarr#1", "b.zarr#2"),
        *("c.zarr#A/1/0", "c.zarr#A/1/1"),
    ]
    for sample, planes in zip(samples, data, strict=True):
        np.testing.assert_array_equal(read_planes(sample), planes[list(ORDER)])
    predictor = Predictor.load(model, device="cpu", white=4095)
    expected = predictor.predict_planes([planes[list(ORDER)] for planes in data])
    for found, prediction in zip(predictor.predict(pickle.loads(pickle.dumps(samples))), expected, strict=True):
        np.testing.assert_allclose(found.probabilities, prediction.probabilities, atol=1e-6)


def test_a_field_of_a_plate_is_read_without_the_others(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    plate = zarr.open_group(exports / "a.zarr", mode="w", zarr_format=3)
    wells = ["A/1", "A/2", "B/7"]
    plate.attrs["ome"] = {"version": "0.5", "plate": {"wells": [{"path": well} for well in wells]}}
    for seed, well in enumerate(wells):
        plate.create_group(well).attrs["ome"] = {"version": "0.5", "well": {"images": [{"path": "0"}]}}
        put_image(plate.create_group(f"{well}/0"), stack(seed=seed), "0.5")
    *_, last = fields_of(station(tmp_path))
    assert last.id == "a.zarr#B/7/0"
    shutil.rmtree(exports / "a.zarr" / "A")
    np.testing.assert_array_equal(read_planes(last), stack(seed=2)[list(ORDER), 0])
    shutil.rmtree(exports / "a.zarr" / "B")
    with pytest.raises(PlaneError, match=r"damaged|not there"):
        read_planes(last)


def test_a_stack_that_could_not_be_counted_is_not_one_field(tmp_path: Path) -> None:
    path = tmp_path / "exports" / "a.ome.tif"
    path.parent.mkdir()
    path.touch()
    (sample,) = fields_of(station(tmp_path))
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for seed in range(2):
            tiff.write(stack(seed=seed)[:, 0], metadata={"axes": "CYX"}, photometric="minisblack")
    with pytest.raises(PlaneError, match="2 pictures, and could not be opened"):
        read_planes(sample)


def test_missing_names_are_reported_with_the_existing_ones(tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "exports" / "x.ome.tif", stack(), Channel={"Name": ["DAPI", "GFP", "Cy5", "ER"]})
    message = refusal(tmp_path)
    assert "no channel is red (by the station file 'microtubules' or 'tubulin')" in message
    assert "there are 'DAPI' (number 0), 'GFP' (number 1), 'Cy5' (number 2), 'ER' (number 3)" in message
    assert "channels.red" in message


def test_a_name_that_several_channels_have_is_refused(tmp_path: Path) -> None:
    write_ome_tiff(
        tmp_path / "exports" / "x.ome.tif", stack(), Channel={"Name": ["DAPI", "ER", "Tubulin", "Microtubules"]}
    )
    assert "several channels are red" in refusal(tmp_path)
    doubled = CHANNELS.replace('"dapi"', "2")
    write_ome_tiff(tmp_path / "exports" / "x.ome.tif", stack())
    assert "two channels are one and the same" in refusal(tmp_path, channels=doubled)


def test_a_field_without_er_needs_a_rule_in_the_station_file(tmp_path: Path) -> None:
    data = stack()[:3]
    write_ome_tiff(tmp_path / "exports" / "x.ome.tif", data, Channel={"Name": list(NAMES[:3])})
    assert "or say what takes its place: --without yellow=empty" in refusal(tmp_path)
    red, green, blue = data[[2, 1, 0], 0]
    for instead, plane, note in (("empty", np.zeros_like(red), "a black plane"), ("red", red, "red")):
        reading = look(tmp_path, text=f"[without]\nyellow = '{instead}'")
        np.testing.assert_array_equal(reading.planes, [red, green, blue, plane])
        assert f"yellow is missing; in its place {note}" in reading.notes
