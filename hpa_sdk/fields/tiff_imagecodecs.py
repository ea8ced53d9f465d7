"""Decodes strips and tiles with imagecodecs, for compressions that Pillow does not support."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.planes import damaged
from hpa_sdk.fields.tiff_layout import Layout
from hpa_sdk.fields.tiff_pillow import JPEG

_NAMES = {
    2: "CCITT",
    3: "CCITT group 3",
    4: "CCITT group 4",
    6: "old JPEG",
    JPEG: "JPEG of more than 8 bits",
    22610: "JPEG XR",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG",
    34926: "ZSTD of an old number",
    34927: "WebP",
    34933: "PNG",
    34934: "JPEG XR",
    48124: "Jetraw",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_JPEG_2000 = (33003, 33004, 33005, 34712)
_LERC = 34887
# Start of code stream and its size: https://www.itu.int/rec/T-REC-T.800, annex A.
_CODE_STREAM = re.compile(rb"\xff\x4f\xff\x51.{4}(.{4})(.{4})(.{4})(.{4})", re.DOTALL)
_REMEDY = "Save it uncompressed, or compressed by Deflate or LZW."


def decode_by_imagecodecs(layout: Layout, parts: Sequence[bytes], path: Path) -> npt.NDArray[np.generic]:
    """Decode the strips or tiles of a plane, each only up to its size.

    Parameters
    ----------
    layout : Layout
        The layout of the plane in its file.
    parts : sequence of bytes
        The compressed strips or tiles.
    path : pathlib.Path
        The file, for messages.

    Returns
    -------
    numpy.ndarray
        The stored pixels, of shape (H, W).

    Raises
    ------
    PlaneError
        A part is damaged, imagecodecs is not installed, or it does not support the compression.
    """
    what = f"the plane is compressed by {_NAMES.get(layout.compression, 'a method of another kind')}"
    what = f"{what} (Compression {layout.compression})"
    try:
        tiff = import_module("tifffile").TIFF
        import_module("imagecodecs")
    except ImportError as error:
        raise PlaneError(
            f"{what}, which only imagecodecs reads, and that is not installed",
            where=path,
            remedy=f"Install it: pip install 'hpa-sdk[workstation]'. Or: {_REMEDY}",
        ) from error
    if layout.compression not in tiff.DECOMPRESSORS or layout.differences:
        with_differences = " with Predictor 2" if layout.differences else ""
        raise PlaneError(f"{what}{with_differences}, which is not read here", where=path, remedy=_REMEDY)
    decompress = tiff.DECOMPRESSORS[layout.compression]
    is_picture = layout.compression in {*tiff.IMAGE_COMPRESSIONS, _LERC}
    tables: dict[str, Any] = {"tables": layout.jpeg_tables} if layout.compression == JPEG else {}
    pixels = np.empty((layout.height, layout.width), layout.dtype.newbyteorder("="))
    across = -(-layout.width // layout.part_width)
    for number, content in enumerate(parts):
        rows = layout.size_of(number) // layout.dtype.itemsize // layout.part_width
        if layout.compression in _JPEG_2000:
            _check_code_streams(content, (rows, layout.part_width), path)
        # A picture of another size or type than this array is refused before it is decoded.
        part = np.empty((rows, layout.part_width), pixels.dtype)
        if is_picture:
            decompress(content, out=part, **tables)
        else:
            decoded = decompress(content, out=part.nbytes)
            if len(decoded) < part.nbytes:
                raise damaged(f"a strip or tile has {len(decoded)} bytes of {part.nbytes}", path)
            part[:] = np.frombuffer(decoded, layout.dtype, part.size).reshape(part.shape)
        top, left = number // across * layout.part_height, number % across * layout.part_width
        place = pixels[top : top + layout.part_height, left : left + layout.part_width]
        place[:] = part[: place.shape[0], : place.shape[1]]
    return pixels


def _check_code_streams(content: bytes, shape: tuple[int, int], path: Path) -> None:
    """Check the size in the JPEG 2000 header: the decoder compares it with the given array only after decoding."""
    for found in _CODE_STREAM.finditer(content):
        right, bottom, left, top = (int.from_bytes(part, "big") for part in found.groups())
        if (bottom - top, right - left) != shape:
            raise damaged(f"a strip or tile holds a picture of {right - left}x{bottom - top} pixels", path)
