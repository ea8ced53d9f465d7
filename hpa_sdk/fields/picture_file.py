"""Reads the plane of a single-picture file. The first bytes of the file decide its format."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.pixel_rules import StoredForm, as_plane, check_orientation, not_grey
from hpa_sdk.fields.planes import COPY_AGAIN, check_size, damaged, plane_errors
from hpa_sdk.fields.png_checksums import HEADER_SIZE, SIGNATURE, check_chunks, most_bytes
from hpa_sdk.fields.pseudocolour import plane_of_pseudocolour
from hpa_sdk.fields.samples import Channel
from hpa_sdk.fields.tiff_file import read_tiff
from hpa_sdk.preprocessing import Planes

Reading = tuple[Planes, tuple[str, ...]]
"""A plane, and what was done to the stored pixels."""

_GREY_MODES = ("L", "I;16", "I;16B", "I;16L")
_MODE_NAMES = {
    "1": "a black-and-white picture",
    "LA": "a grey picture with an alpha channel",
    "P": "a palette picture",
    "RGB": "a colour (RGB) picture",
    "RGBA": "a colour picture with an alpha channel",
    "CMYK": "a colour (CMYK) picture",
}
_ORIENTATION = 274


def read_picture(path: Path, channel: Channel | None = None) -> Reading:
    """Read a plane, and report what was done to its pixels.

    Parameters
    ----------
    path, channel
        As for `hpa_sdk.fields.reading.read_plane`.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16 of shape (H, W).
    tuple of str
        What was done to the stored pixels, such as rotating them upright.

    Raises
    ------
    PlaneError, FileNotFoundError
        As for `hpa_sdk.fields.reading.read_plane`.
    """
    with plane_errors(path), path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        if not start:
            raise PlaneError("the file is empty", where=path, remedy=COPY_AGAIN)
        for magic, read in _FORMATS.items():
            if start.startswith(magic):
                return read(file, path, channel)
        raise PlaneError(
            "this is no PNG, JPEG or TIFF file",
            where=path,
            remedy="Export the plane as a grey PNG or TIFF of 8 or 16 bits.",
        )


def _read_png(file: io.BufferedReader, path: Path, _: Channel | None) -> Reading:
    most = most_bytes(file.read(HEADER_SIZE), path)
    size = file.seek(0, io.SEEK_END)
    if size > most:
        raise damaged("the file is longer than its pixels need", path)
    file.seek(0)
    # Read only once, so that the checked bytes are the decoded bytes.
    content = file.read(size)
    check_chunks(content, path)
    with PngImagePlugin.PngImageFile(io.BytesIO(content)) as image:
        return _grey(image, path)


def _read_jpeg(file: io.BufferedReader, path: Path, channel: Channel | None) -> Reading:
    # Without its name: Pillow would map any file of that name in the working folder.
    with JpegImagePlugin.JpegImageFile(file) as image:
        check_size(*image.size, path)
        if channel is None or image.mode != "RGB":
            return _grey(image, path)
        return upright(plane_of_pseudocolour(image, channel, path), image, path)


def _grey(image: Image.Image, path: Path) -> Reading:
    if image.mode not in _GREY_MODES:
        raise not_grey(_MODE_NAMES.get(image.mode, f"of mode {image.mode}"), path)
    if getattr(image, "n_frames", 1) > 1:
        raise PlaneError(
            "the file holds more than one picture", where=path, remedy="Export each channel as a file of its own."
        )
    plane = np.asarray(image)
    return upright(plane.astype(np.uint8 if image.mode == "L" else np.uint16, copy=False), image, path)


def upright(plane: Planes, image: Image.Image, path: Path | None = None) -> Reading:
    """Rotate the plane of an open picture as its Exif data say, and report whether it was rotated.

    Parameters
    ----------
    plane : numpy.ndarray
        uint8 or uint16 of shape (H, W), as stored.
    image : PIL.Image.Image
        The picture, after its pixels were read.
    path : pathlib.Path, optional
        The file, for messages.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16 of shape (H, W), or (W, H) where the orientation swaps the sides.
    tuple of str
        As for `read_picture`.

    Raises
    ------
    PlaneError
        The orientation is not one of the eight that Exif defines.
    """
    # After the pixels, because a PNG can have its Exif data after them.
    form = StoredForm(orientation=check_orientation(image.getexif().get(_ORIENTATION), path))
    return as_plane(plane, form), form.notes


_FORMATS: dict[bytes, Callable[[io.BufferedReader, Path, Channel | None], Reading]] = {
    SIGNATURE: _read_png,
    b"\xff\xd8\xff": _read_jpeg,
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), lambda file, path, _: read_tiff(file, path)),
}
