"""Reads the numbers of a label image from a PNG, TIFF, OME-TIFF or Zarr file, exactly as they are stored."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import PngImagePlugin

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.channel_stack import load, pixel_size
from hpa_sdk.fields.ome_zarr import axis_letters, named_axes
from hpa_sdk.fields.ome_zarr_channels import pixel_size as pixel_size_of_zarr
from hpa_sdk.fields.ome_zarr_chunks import check_chunks
from hpa_sdk.fields.ome_zarr_places import ome_of
from hpa_sdk.fields.picture_file import upright
from hpa_sdk.fields.pixel_rules import StoredForm, as_plane, check_orientation
from hpa_sdk.fields.planes import check_size, damaged
from hpa_sdk.fields.png_checksums import HEADER_SIZE, most_bytes
from hpa_sdk.fields.png_checksums import check_chunks as check_png_chunks
from hpa_sdk.fields.tiff_metadata import size_of_pixel
from hpa_sdk.fields.tiff_stack import strict

LABEL_IMAGE = "Save a label image: one grey picture in which the value of each pixel is the number of its cell."
"""The remedy for a mask that is no label image."""

_GREY_MODES = ("L", "I", "I;16", "I;16B", "I;16L")
_BIT_DEPTH = 24  # its place in a PNG
_LEAST_BITS = 8
_WITHOUT_IMAGECODECS = (1, 8, 32946)
_GREY = (0, 1)
_PREFERRED = ("cells", "cell", "cell_mask", "cellmask")
_MOST = int(np.iinfo(np.int32).max)


def read_labels(path: Path) -> tuple[npt.NDArray[np.int32], float | None, str, tuple[str, ...]]:
    """Read a label image.

    Parameters
    ----------
    path : pathlib.Path
        A PNG or TIFF file, or a Zarr folder.

    Returns
    -------
    numpy.ndarray
        int32 of shape (H, W).
    float or None
        Micrometres per pixel, if the file has them.
    str
        The name of the picture in the metadata; empty without one.
    tuple of str
        What a reader of the answers should know of the file.

    Raises
    ------
    PlaneError
        The file is damaged, has colours or several planes, or its numbers are no numbers of cells.
    FileNotFoundError
        There is no such file.
    """
    size: float | None = None
    name, notes = "", tuple[str, ...]()
    if path.is_dir():
        stored, size, notes = _read_zarr(path)
    elif path.suffix.lower() == ".png":
        stored, notes = _read_png(path)
    else:
        stored, size, name, notes = _read_tiff(path)
    return _numbers(stored, path), size, name, notes


def _numbers(stored: npt.NDArray[Any], path: Path) -> npt.NDArray[np.int32]:
    if stored.dtype.kind not in "uif":
        raise PlaneError(f"its pixels are {stored.dtype}, and no numbers", where=path, remedy=LABEL_IMAGE)
    if stored.dtype.kind == "f" and not (np.isfinite(stored).all() and (stored == np.round(stored)).all()):
        raise PlaneError("its pixels are no whole numbers", where=path, remedy=LABEL_IMAGE)
    if stored.dtype.kind == "f" and stored.max() >= 1 / np.finfo(stored.dtype).epsneg:
        raise PlaneError(
            f"its numbers reach {stored.max():.0f}, where {stored.dtype} leaves out every second whole number",
            where=path,
            remedy="Save the label image with whole numbers of 32 bits.",
        )
    if stored.min() < 0 or float(stored.max()) > _MOST:  # 16 bits can't hold the limit
        raise PlaneError(
            f"its numbers lie between {stored.min():.0f} and {stored.max():.0f}, not between 0 and {_MOST}",
            where=path,
            remedy=LABEL_IMAGE,
        )
    return np.ascontiguousarray(stored, np.int32)


def _read_png(path: Path) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    content = path.read_bytes()
    if len(content) > most_bytes(content[:HEADER_SIZE], path):
        raise damaged("the file is longer than its pixels need", path)
    check_png_chunks(content, path)
    if content[_BIT_DEPTH] < _LEAST_BITS:  # Pillow would spread the numbers over 0 to 255
        raise PlaneError(f"its pixels have only {content[_BIT_DEPTH]} bits", where=path, remedy=LABEL_IMAGE)
    with PngImagePlugin.PngImageFile(io.BytesIO(content)) as image:
        if image.mode not in _GREY_MODES:
            raise PlaneError(f"it is a picture in colours (mode {image.mode})", where=path, remedy=LABEL_IMAGE)
        return upright(np.asarray(image), image, path)


def _read_tiff(path: Path) -> tuple[npt.NDArray[Any], float | None, str, tuple[str, ...]]:
    tifffile = load("tifffile", extra="cells", path=path)
    with strict(path) as check, tifffile.TiffFile(path) as tiff:
        check()
        if len(tiff.series) != 1 or len(tiff.series[0].pages) != 1 or tiff.pages[0].samplesperpixel != 1:
            raise PlaneError("it holds more than one plane", where=path, remedy=LABEL_IMAGE)
        page = tiff.pages[0]
        if page.photometric not in _GREY:
            raise PlaneError("it is a picture in colours", where=path, remedy=LABEL_IMAGE)
        check_size(page.imagewidth, page.imagelength, path)
        if page.compression not in _WITHOUT_IMAGECODECS:
            load("imagecodecs", extra="workstation", path=path)
        size, name, notes = _described(tifffile, tiff, path)
        tag = page.tags.get("Orientation")
        form = StoredForm(orientation=check_orientation(tag and int(tag.value), path))
        return as_plane(page.asarray(), form), size, name, (*notes, *form.notes)


def _described(tifffile: Any, tiff: Any, path: Path) -> tuple[float | None, str, tuple[str, ...]]:  # noqa: ANN401
    if not tiff.ome_metadata:
        size, notes = size_of_pixel(tiff, path)
        return size, "", notes
    try:
        image = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]
        pixels = image["Pixels"]
        sizes = pixels.get("PhysicalSizeY"), pixels.get("PhysicalSizeX")
        units = str(pixels.get("PhysicalSizeYUnit", "µm")), str(pixels.get("PhysicalSizeXUnit", "µm"))
        size, notes = pixel_size(sizes, units, path)
        return size, str(image.get("Name", "")), notes
    except (AttributeError, KeyError, SyntaxError, TypeError) as error:
        raise damaged(f"its OME-XML is broken: {error!r}", path) from error


def _read_zarr(path: Path) -> tuple[npt.NDArray[Any], float | None, tuple[str, ...]]:
    zarr = load("zarr", extra="workstation", path=path)
    size: float | None = None
    size_notes = tuple[str, ...]()
    try:
        node = zarr.open(path, mode="r")
        if hasattr(node, "group_keys"):
            group = _label_group(node, path)
            ome = ome_of(group)
            scales = ome["multiscales"][0]
            level = scales["datasets"][0]
            node = group[str(level["path"])]
            if "axes" in scales:
                axes = named_axes(scales, ome, node.ndim, path)
                axis_letters(axes, node.ndim, path)
                size, size_notes = pixel_size_of_zarr(axes, (scales, level), {}, path)
    except (AttributeError, FileNotFoundError, IndexError, KeyError, TypeError) as error:
        raise PlaneError(f"it holds no label image ({error!r})", where=path, remedy=LABEL_IMAGE) from error
    *others, height, width = node.shape if len(node.shape) > 1 else (0, 0)
    if any(side != 1 for side in others):
        raise PlaneError(
            f"its labels have the shape {node.shape}, not that of one plane", where=path, remedy=LABEL_IMAGE
        )
    check_size(width, height, path)
    # Writers leave out chunks that have background alone.
    notes = check_chunks(node, path, "fill")
    return np.asarray(node[...]).reshape(height, width), size, (*size_notes, *notes)


def _label_group(root: Any, path: Path) -> Any:  # noqa: ANN401 - without types
    """Find the label image: the group itself if it is one, else the only one in its group ``labels``."""
    group, ome = root, ome_of(root)
    if "image-label" not in ome and "labels" in root:
        names = [str(name) for name in ome_of(root["labels"])["labels"]]
        wanted = [name for name in names if name.lower() in _PREFERRED] or names
        if len(wanted) != 1:
            raise PlaneError(
                f"it holds several label images ({', '.join(names)}), and none of them alone is called cells",
                where=path,
                remedy="Name the label image of the cells 'cells'.",
            )
        group = root["labels"][wanted[0]]
    elif "image-label" not in ome:
        raise PlaneError("it holds a picture and no labels", where=path, remedy=LABEL_IMAGE)
    return group
