"""Tests the reading of label images that other programs make, each written by the library that writes it."""

from __future__ import annotations

import pickle
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import zarr
from PIL import Image, ImageOps

from hpa_sdk.cells.masks import MaskFolder
from hpa_sdk.errors import HpaError, PlaneError, SettingError
from tests.hpa_sdk.cells.label_images import discs, grid

SHAPE = (256, 256)


def _write_zarr(
    folder: Path, name: str, labels: npt.NDArray[Any], *, axes: str = "yx", scale: tuple[float, ...] = ()
) -> None:
    root = zarr.open_group(folder, mode="a")
    group = root.require_group("labels")
    before: Any = group.attrs.get("labels", [])
    group.attrs["labels"] = [*before, name]
    image = group.create_group(name)
    image.attrs["image-label"] = {"version": "0.4"}
    named = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in axes]
    level: dict[str, Any] = {"path": "0"}
    if scale:
        level["coordinateTransformations"] = [{"type": "scale", "scale": list(scale)}]
    image.attrs["multiscales"] = [{"version": "0.4", "axes": named, "datasets": [level]}]
    image.create_array("0", data=labels, chunks=(*(1,) * (labels.ndim - 2), 64, 64))


def _write(path: Path, labels: npt.NDArray[Any]) -> None:
    if path.name.endswith(".png"):
        Image.fromarray(labels).save(path)
    elif ".ome." in path.name and path.suffix != ".zarr":
        metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
        tifffile.imwrite(path, labels, ome=True, metadata=metadata, compression="zlib")
    elif path.suffix == ".zarr":
        _write_zarr(path, "cells", labels)
    else:
        tifffile.imwrite(path, labels)


@pytest.mark.parametrize(
    ("name", "dtype", "step"),
    [
        ("a.png", np.uint8, 1),
        ("a_cellmask.png", np.uint8, 4),
        ("a_cp_masks.png", np.uint16, 1000),
        ("a__cellmask.png", np.uint16, 1),
        ("a_mask.tif", np.uint16, 3),
        ("a_cells.tif", np.int32, 70_000),
        ("a.TIFF", np.float32, 3),
        ("a.ome.tif", np.uint32, 70_000),
        ("a_labels.ome.tiff", np.uint16, 7),
        ("a.ome.zarr", np.uint32, 70_000),
        ("a.zarr", np.int64, 3),
    ],
)
def test_numbers_are_those_of_the_file(tmp_path: Path, name: str, dtype: type[np.generic], step: int) -> None:
    labels = discs(30, step=step)
    _write(tmp_path / name, labels.astype(dtype))
    found = MaskFolder(tmp_path).read("a", SHAPE)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.labels.dtype == np.int32
    assert [cell.number for cell in found.cells] == np.unique(labels[labels > 0]).tolist()
    assert found.source == name
    assert found.notes == ()
    assert found.pixel_size == (0.25 if ".ome.tif" in name else None)


def test_min_is_white_and_plain_arrays_are_kept(tmp_path: Path) -> None:
    labels = discs(30).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", labels, photometric="miniswhite")
    np.testing.assert_array_equal(MaskFolder(tmp_path).read("a", SHAPE).labels, labels)
    zarr.create_array(tmp_path / "b.zarr", data=labels, chunks=(64, 64))
    np.testing.assert_array_equal(MaskFolder(tmp_path).read("b", SHAPE).labels, labels)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_masks_are_turned_upright_as_planes_are(tmp_path: Path, name: str, turn: int) -> None:
    stored = Image.fromarray(discs(30).astype(np.uint16))
    exif = Image.Exif()
    exif[274] = turn
    if name == "a.png":
        stored.save(tmp_path / name, exif=exif)
    else:
        tifffile.imwrite(tmp_path / name, np.asarray(stored), extratags=[(274, 3, 1, turn, True)])
    stored.getexif()[274] = turn
    upright = np.asarray(ImageOps.exif_transpose(stored))
    found = MaskFolder(tmp_path).read("a", SHAPE)
    np.testing.assert_array_equal(found.labels, upright)
    assert len(found.notes) == (turn > 1)


def test_pixel_sizes_of_every_format_are_read(tmp_path: Path) -> None:
    labels = discs(9).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", labels, imagej=True, resolution=(4, 4), metadata={"unit": "um"})
    tifffile.imwrite(tmp_path / "b.tif", labels, resolution=(40_000, 40_000), resolutionunit="CENTIMETER")
    _write_zarr(tmp_path / "c.zarr", "cells", labels, scale=(0.25, 0.25))
    _write_zarr(tmp_path / "d.zarr", "cells", labels[None], axes="zyx", scale=(1.0, 0.25, 0.25))
    masks = MaskFolder(tmp_path)
    for name in "abcd":
        found = masks.read(name, SHAPE)
        assert found.pixel_size == pytest.approx(0.25)
        assert found.cells[0].area_um2 == pytest.approx(found.cells[0].area / 16)
        notes = masks.read(name, SHAPE, pixel_size=0.5).notes
        assert "the mask has pixels of 0.25 um and the field of 0.5 um: that of the field is used" in notes


@pytest.mark.parametrize(("unit", "dots"), [("inch", 300), ("Inches", 96), ("cm", 118)])
def test_dots_of_a_printer_are_no_pixel_size(tmp_path: Path, unit: str, dots: int) -> None:
    # ImageJ writes the resolution of a picture that it opened as its scale.
    labels = discs(9).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", labels, imagej=True, resolution=(dots, dots), metadata={"unit": unit})
    found = MaskFolder(tmp_path).read("a", SHAPE)
    assert (found.pixel_size, found.cells[0].area_um2, found.notes) == (None, None, ())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_whole_floating_point_numbers_are_read(tmp_path: Path, dtype: type[np.floating[Any]]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", discs(9).astype(dtype))
    np.testing.assert_array_equal(MaskFolder(tmp_path).read("a", SHAPE).labels, discs(9))


def test_a_label_image_with_x_before_y_is_refused(tmp_path: Path) -> None:
    _write_zarr(tmp_path / "a.zarr", "cells", discs(9), axes="xy")
    with pytest.raises(PlaneError, match="its axes are X, Y, and the last not y and x"):
        MaskFolder(tmp_path).read("a", SHAPE)


def test_id_with_folder_and_names_outside_ascii(tmp_path: Path) -> None:
    (tmp_path / "plåte").mkdir()
    _write(tmp_path / "plåte" / "Zelle_ß_mask.png", discs(5).astype(np.uint8))
    assert len(MaskFolder(tmp_path).read("plåte/Zelle_ß", SHAPE).cells) == 5
    with pytest.raises(PlaneError, match="no mask"):
        MaskFolder(tmp_path / "plåte").find("../Zelle_ß")


def test_missing_and_ambiguous_masks_name_the_field(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no such folder"):
        MaskFolder(tmp_path / "none")
    for name in ("a_mask.png", "a_cells.tif", "b.png", "b.tif", "c.png", "c_nuclei.png"):
        _write(tmp_path / name, discs(5).astype(np.uint8))
    masks = MaskFolder(tmp_path)
    for field in ("a", "b"):
        with pytest.raises(PlaneError, match=f"{field}: 2 masks could be") as error:
            masks.find(field)
        assert error.value.where == field
    assert masks.find("c").name == "c.png"
    with pytest.raises(PlaneError, match="d: the field has no mask"):
        masks.find("d")


def test_masks_that_come_later_are_found(tmp_path: Path) -> None:
    masks = MaskFolder(tmp_path)
    for at in range(3):
        with pytest.raises(PlaneError, match="no mask"):
            masks.find(f"field {at}")
        _write(tmp_path / f"field {at}.png", discs(5).astype(np.uint8))
        assert masks.find(f"field {at}").name == f"field {at}.png"
    time.sleep(0.1)  # its listing is kept from now on
    masks.find("field 0")
    _write(tmp_path / "field 0.tif", discs(5).astype(np.uint8))
    with pytest.raises(PlaneError, match="2 masks could be"):
        masks.find("field 0")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_mask_that_is_gone_is_an_error_of_its_field(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("gone.png")
    for ask in (MaskFolder(tmp_path).fingerprint, lambda name: MaskFolder(tmp_path).read(name, SHAPE)):
        with pytest.raises(PlaneError, match="the mask is gone") as error:
            ask("a")
        assert error.value.where == str(tmp_path / "a.png")


@pytest.mark.parametrize("bits", [2, 4])
def test_a_picture_of_few_bits_is_refused(tmp_path: Path, bits: int) -> None:
    """Readers of pictures spread such numbers over 0 to 255, so that nobody knows the number of a cell."""
    picture = Image.fromarray(np.zeros(SHAPE, np.uint8))
    picture.convert("P").save(tmp_path / "a.png", bits=bits)
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[25] = 0  # grey in place of a palette
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(PlaneError, match=f"only {bits} bits"):
        MaskFolder(tmp_path).read("a", SHAPE)


def test_a_name_with_an_ending_goes_before_the_picture(tmp_path: Path) -> None:
    _write(tmp_path / "a.tif", np.zeros((256, 256, 3), np.uint8))
    _write(tmp_path / "a_cp_masks.png", discs(5).astype(np.uint8))
    assert MaskFolder(tmp_path).find("a").name == "a_cp_masks.png"


def _refused(tmp_path: Path, name: str, labels: npt.NDArray[Any], reason: str, **options: Any) -> None:
    path = tmp_path / name
    if name.endswith(".png"):
        Image.fromarray(labels).save(path)
    else:
        tifffile.imwrite(path, labels, **options)
    with pytest.raises(HpaError, match=reason) as error:
        MaskFolder(tmp_path).read("a", SHAPE)
    assert error.value.where == str(path)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_what_is_no_label_image_is_refused(tmp_path: Path, name: str) -> None:
    colours = np.zeros((256, 256, 3), np.uint8)
    _refused(tmp_path, name, colours, "in colours|more than one plane")
    _refused(tmp_path, name, discs(30)[:128].astype(np.uint8), "256x128 pixels, and the field 256x256")
    _refused(tmp_path, name, (discs(30) > 0).astype(np.uint8) * 255, "one number alone")


def test_numbers_that_are_none_of_cells_are_refused(tmp_path: Path) -> None:
    _refused(tmp_path, "a.tif", discs(9).astype(np.float32) / 2, "no whole numbers")
    for dtype, exact in ((np.float16, 2_048), (np.float32, 16_777_216)):
        _refused(tmp_path, "a.tif", (discs(9) + exact).astype(dtype), "leaves out every second whole number")
    _refused(tmp_path, "a.tif", -discs(9), "between -9 and 0")
    _refused(tmp_path, "a.tif", discs(9).astype(np.uint32) + 2**31, "not between 0 and 2147483647")
    _refused(tmp_path, "a.tif", np.stack([discs(9), discs(9)]), "more than one plane", photometric="minisblack")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif"):
        path = tmp_path / name
        _write(path, discs(30).astype(np.uint16))
        content = bytearray(path.read_bytes())
        path.write_bytes(content[: len(content) * 2 // 3])
        with pytest.raises(PlaneError, match="damaged"):
            MaskFolder(tmp_path).read("a", SHAPE)
        path.unlink()


def test_several_label_images_need_the_name_cells(tmp_path: Path) -> None:
    labels = discs(9).astype(np.uint16)
    _write_zarr(tmp_path / "a.zarr", "nuclei", labels // 2)
    _write_zarr(tmp_path / "a.zarr", "other", labels)
    with pytest.raises(PlaneError, match=r"several label images \(nuclei, other\)"):
        MaskFolder(tmp_path).read("a", SHAPE)
    _write_zarr(tmp_path / "a.zarr", "Cells", labels)
    np.testing.assert_array_equal(MaskFolder(tmp_path).read("a", SHAPE).labels, labels)


def test_chunks_of_background_alone_can_be_missing(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint16)
    labels[10:30, 10:30] = 4
    _write_zarr(tmp_path / "a.zarr", "cells", labels)
    found = MaskFolder(tmp_path).read("a", SHAPE)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.notes == ("15 of 16 chunks are not there, and were filled with 0",)


def test_an_empty_mask_and_pieces_are_noted(tmp_path: Path) -> None:
    _write(tmp_path / "a.png", np.zeros(SHAPE, np.uint8))
    empty = MaskFolder(tmp_path).read("a", SHAPE)
    assert (empty.cells, empty.notes) == ((), ("the mask has no cells",))
    labels = np.zeros(SHAPE, np.uint8)
    labels[20:60, 20:60], labels[30:40] = 3, 0
    labels[100:120, 100:120] = labels[120:130, 120:130] = 9  # these touch at a corner
    _write(tmp_path / "a.png", labels)
    assert MaskFolder(tmp_path).read("a", SHAPE).notes == ("1 cell of the mask in several pieces: 3",)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mask_of_another_field_is_noted(tmp_path: Path, dtype: type[np.generic]) -> None:
    labels = grid(side=256, cells=4, gap=24)
    planes = np.full((4, *SHAPE), 10, dtype)
    for y in range(32, 256, 64):
        for x in range(32, 256, 64):
            cv2.circle(planes[2], (x, y), 8, 200, -1)
    _write(tmp_path / "a.png", labels.astype(np.uint8))
    _write(tmp_path / "b.png", np.roll(labels, (32, 32), (0, 1)).astype(np.uint8))
    masks = MaskFolder(tmp_path)
    assert masks.read("a", SHAPE, planes=planes).notes == ()
    assert any("may be of another field" in note for note in masks.read("b", SHAPE, planes=planes).notes)


def test_an_id_may_have_an_extension(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.png_cells.ome.tif", discs(9), ome=True, metadata={"axes": "YX", "Name": "a.png"})
    assert MaskFolder(tmp_path).read("a.png", SHAPE).notes == ()


def test_metadata_of_another_field_are_noted(tmp_path: Path) -> None:
    metadata = {"axes": "YX", "Name": "other", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "a.ome.tif", discs(9), ome=True, metadata=metadata)
    found = MaskFolder(tmp_path).read("a", SHAPE, pixel_size=0.25)
    assert "name it 'other'" in found.notes[0]
    assert "pixels of 0.5 um and the field of 0.25 um" in found.notes[1]
    assert found.cells[0].area_um2 == found.cells[0].area / 16


def test_a_copy_in_another_working_folder_finds_the_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "masks").mkdir()
    _write(tmp_path / "masks" / "a_cells.tif", discs(3))
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(MaskFolder(Path("masks")))
    monkeypatch.chdir(tmp_path.parent)
    assert pickle.loads(sent).find("a") == tmp_path / "masks" / "a_cells.tif"
