"""Every form of files gives the same planes to the last bit in every command and call."""

from __future__ import annotations

import csv
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
import pytest
import tifffile
import zarr
from PIL import Image

from hpa_sdk import Predictor
from hpa_sdk.batch.discovery import find_all
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Channel
from hpa_sdk.labels import Label
from hpa_sdk.models.model_card import METADATA_KEY
from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.batch.runs import predict
from tests.hpa_sdk.fields.made_micro_manager import write_image_stack, write_ndtiff
from tests.hpa_sdk.fields.spread_ome_tiff import write_data
from tests.hpa_sdk.workstation.watching import wait_until, watching
from tests.hpa_sdk.workstation.written import put_image
from tests.small import CARD, build_model, write_planes
from training.data.dataset import read_dataset

Planes = npt.NDArray[Any]

COLOURS = list(map(str, Channel))
SIDE = 64
_ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def _planes(extension: str, **options: Any) -> Callable[[Path, Planes], None]:
    def write(folder: Path, planes: Planes) -> None:
        for colour, plane in zip(COLOURS, planes, strict=True):
            tifffile.imwrite(folder / f"f_{colour}{extension}", plane, photometric="minisblack", **options)

    return write


def _inverted(folder: Path, planes: Planes) -> None:
    for colour, plane in zip(COLOURS, planes, strict=True):
        tifffile.imwrite(folder / f"f_{colour}.tif", np.invert(plane), photometric="miniswhite")


def _stack(name: str, **options: Any) -> Callable[[Path, Planes], None]:
    def write(folder: Path, planes: Planes) -> None:
        tifffile.imwrite(folder / name, planes, photometric="minisblack", **options)

    return write


def _ome_zarr(version: str) -> Callable[[Path, Planes], None]:
    def write(folder: Path, planes: Planes) -> None:
        group = zarr.open_group(folder / "f.zarr", mode="w", zarr_format=2 if version == "0.4" else 3)
        put_image(group, planes[:, None], version)
        channels = [{"label": colour, "color": "FFFFFF", "window": {}} for colour in COLOURS]
        ome: Any = group.attrs.asdict()
        (ome if version == "0.4" else ome["ome"])["omero"] = {"channels": channels}
        group.attrs.update(ome)

    return write


def _interlaced(folder: Path, planes: Planes) -> None:
    for colour, plane in zip(COLOURS, planes, strict=True):
        passes = (plane[top::down, left::right] for top, left, down, right in _ADAM7)
        rows = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for part in passes for row in part)
        header = struct.pack(">IIBBBBB", *plane.shape[::-1], 8 * plane.itemsize, 0, 0, 0, 1)
        content = b"\x89PNG\r\n\x1a\n"
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
            content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        (folder / f"f_{colour}.png").write_bytes(content)


def _jpeg(folder: Path, planes: Planes) -> Planes:
    files = [folder / f"f_{colour}.jpg" for colour in COLOURS]
    for file, plane in zip(files, planes, strict=True):
        Image.fromarray(plane).save(file)
    return np.stack([np.asarray(Image.open(file)) for file in files])  # what the compression left of them


def _micro_manager(folder: Path, planes: Planes) -> None:
    keyed = {(0, 0, channel): plane for channel, plane in enumerate(planes)}
    write_image_stack(folder / "f_MMStack_Pos0.ome.tif", keyed, names=COLOURS)


def _ndtiff(folder: Path, planes: Planes) -> None:
    named = [({"channel": colour}, plane) for colour, plane in zip(COLOURS, planes, strict=True)]
    write_ndtiff(folder, {"f_NDTiffStack.tif": named[:2], "f_NDTiffStack_1.tif": named[2:]})


def _spread(companion: str) -> Callable[[Path, Planes], None]:
    def write(folder: Path, planes: Planes) -> None:
        write_data(folder, planes[:, None, None], called=COLOURS, companion=companion)

    return write


def _by_colour(folder: Path, planes: Planes) -> None:
    for colour, plane in zip(COLOURS, planes, strict=True):
        (folder / colour).mkdir()
        Image.fromarray(plane).save(folder / colour / f"f_{colour}.png")


_OME = {"axes": "CYX", "Channel": {"Name": COLOURS}}

FORMS: dict[str, Callable[[Path, Planes], Planes | None]] = {
    "png": lambda folder, planes: _discard(write_planes(folder, "f", planes)),
    "png, interlaced": _interlaced,
    "jpeg": _jpeg,
    "tiff": _planes(".tif"),
    "bigtiff": _planes(".tif", bigtiff=True),
    "tiff, big-endian": _planes(".tif", byteorder=">"),
    "tiff, tiled": _planes(".tif", tile=(16, 16)),
    "tiff, deflate": _planes(".tif", compression="zlib", predictor=True),
    "tiff, lzw": _planes(".tif", compression="lzw"),
    "tiff, min-is-white": _inverted,
    "ome-tiff planes": _planes(".ome.tif", ome=True, metadata={"axes": "YX"}),
    "ome-tiff stack": _stack("f.ome.tif", ome=True, metadata=_OME),
    "ome-tiff, a file for each channel": _spread(""),
    "ome-tiff, companion file": _spread("a.companion.ome"),
    "micro-manager image stack": _micro_manager,
    "ndtiff": _ndtiff,
    "ome-bigtiff stack": _stack("f.ome.tif", ome=True, bigtiff=True, metadata=_OME),
    "imagej stack": _stack("f.tif", imagej=True, metadata={"axes": "CYX", "Labels": COLOURS}),
    "ome-zarr 0.4": _ome_zarr("0.4"),
    "ome-zarr 0.5": _ome_zarr("0.5"),
    "a folder for each colour": _by_colour,
}
"""What writes four planes in a form into a folder, and gives what it holds if it can't hold them as they are.

A new form is one line here.
"""

_ONLY_8_BITS = {"jpeg"}
_ONLY_16_BITS = {"micro-manager image stack", "ndtiff"}  # as the helpers write them

_NOT_WATCHED = {"a folder for each colour"}  # a watch goes by files.pattern for these


def _discard(_: object) -> None:
    return None


@pytest.fixture(scope="module")
def every_pixel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that weighs every pixel for itself."""
    path = tmp_path_factory.mktemp("model") / "every_pixel.onnx"
    model = build_model(every_pixel=True)
    onnx.helper.set_model_props(model, {METADATA_KEY: CARD.to_json()})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("form", [form for form in FORMS if form not in _ONLY_16_BITS])
@pytest.mark.parametrize("part", ["real_cells", "kaggle_fields"])
def test_real_fields_are_the_same_in_every_form(tmp_path: Path, real_data: Path, part: str, form: str) -> None:
    sample = min(find_samples(real_data / part), key=lambda sample: sample.id)
    planes = np.stack([np.asarray(Image.open(file)) for file in sample.files])
    held = FORMS[form](tmp_path, planes)
    (found,) = find_samples(tmp_path)
    np.testing.assert_array_equal(read_planes(found), planes if held is None else held)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_its_planes_everywhere(tmp_path: Path, every_pixel: Path, form: str, dtype: type) -> None:
    if form in (_ONLY_16_BITS if dtype == np.uint8 else _ONLY_8_BITS):
        pytest.skip("the form has no such pixels")
    most = 256 if dtype == np.uint8 else 4096
    planes: Planes = np.random.default_rng(6).integers(0, most, (4, SIDE, SIDE)).astype(dtype)
    folder = tmp_path / "exports"
    folder.mkdir()
    held = FORMS[form](folder, planes)
    planes = planes if held is None else held
    predictor = Predictor.load(every_pixel, device="cpu", white=4095.0)
    (expected,) = predictor.predict_planes(planes[None])

    (sample,) = find_samples(folder)
    np.testing.assert_array_equal(read_planes(sample), planes, err_msg="API")
    (found,) = find_all([str(folder)], recursive=False, root=None)
    assert found == sample
    (answer,) = predictor.predict(folder)
    np.testing.assert_array_equal(answer.probabilities, expected.probabilities, err_msg="predictor")

    out = tmp_path / "out.csv"
    result = predict(every_pixel, folder, "-o", out, "--white", "4095", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    with out.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    numbers = np.array([row[label.hpa_name] for label in Label], np.float32)
    np.testing.assert_array_equal(numbers, expected.probabilities, err_msg="hpa predict")

    (folder / "train.csv").write_text(f"Id,Target\n{sample.id},0\n", encoding="utf-8")
    if form not in _NOT_WATCHED:
        (labelled,) = read_dataset(folder).samples
        np.testing.assert_array_equal(read_planes(labelled), planes, err_msg="training")
        np.testing.assert_array_equal(_watched(tmp_path, every_pixel), expected.probabilities, err_msg="hpa watch")


def _watched(folder: Path, model: Path) -> npt.NDArray[np.float32]:
    (folder / "answers").mkdir()
    station = Station(model=model, watch=folder / "exports", output=folder / "answers", device="cpu")
    predictor = Predictor.load(model, device="cpu", white=4095.0)
    with watching(_quick(station), predictor=predictor) as store:
        wait_until(lambda: store.count() == 1)
        (result,) = store.newest(1)
    assert result.error is None, result.error
    return np.array(result.probabilities, np.float32)


def _quick(station: Station) -> Station:
    arrival = msgspec.structs.replace(station.arrival, settle_seconds=0.05)
    return msgspec.structs.replace(station, arrival=arrival)
