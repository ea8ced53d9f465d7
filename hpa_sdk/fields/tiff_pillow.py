"""Decodes strips and tiles with Pillow, in the compressions that it supports, without its own reading of the tags.

Pillow inverts some min-is-white pictures and not others, rotates pictures by their Orientation, and maps any file that
has the given name. So it only gets the compressed bytes, with tags that leave nothing to interpret.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from itertools import accumulate

import numpy as np
import numpy.typing as npt
from PIL import TiffImagePlugin

from hpa_sdk.fields import tiff_directory as tags
from hpa_sdk.fields.tiff_layout import Layout

JPEG = 7
"""The value of the Compression tag for JPEG."""

_KNOWN = (5, JPEG, 32773, 50000)  # LZW, JPEG, PackBits, ZSTD
_SHORT, _LONG, _BYTES = 3, 4, 7
_FORMS = {_SHORT: "H", _LONG: "I", _BYTES: "B"}
_HEADER = 8
_VALUE_SIZE = 4


def decode_by_pillow(layout: Layout, parts: Iterable[bytes]) -> npt.NDArray[np.generic] | None:
    """Decode the strips or tiles of a plane.

    Parameters
    ----------
    layout : Layout
        The layout of the plane in its file.
    parts : iterable of bytes
        The compressed strips or tiles, each of the length in the layout.

    Returns
    -------
    numpy.ndarray or None
        The stored pixels, of shape (H, W); None for a compression that Pillow does not support, such as 12-bit JPEG.
    """
    if layout.compression not in _KNOWN or (layout.compression == JPEG and layout.dtype.itemsize > 1):
        return None
    head = _head(layout)
    file = io.BytesIO()
    file.seek(len(head) + sum(length for _, length in layout.parts) - 1)
    file.write(b"\0")  # allocates the whole size at once, so that nothing is copied as it grows
    file.seek(0)
    file.write(head)
    for part in parts:
        file.write(part)
    file.seek(0)
    with TiffImagePlugin.TiffImageFile(file) as image:
        return np.asarray(image)


def _head(layout: Layout) -> bytes:
    """Make the header and the directory of a file. Its strips or tiles are written after them."""
    order = ">" if layout.dtype.str.startswith(">") else "<"
    lengths = [length for _, length in layout.parts]
    offsets_tag, lengths_tag = (
        (tags.TILE_OFFSETS, tags.TILE_COUNTS) if layout.tiled else (tags.STRIP_OFFSETS, tags.STRIP_COUNTS)
    )
    fields = {
        tags.WIDTH: (_LONG, [layout.width]),
        tags.HEIGHT: (_LONG, [layout.height]),
        tags.BITS: (_SHORT, [8 * layout.dtype.itemsize]),
        tags.COMPRESSION: (_SHORT, [layout.compression]),
        tags.PHOTOMETRIC: (_SHORT, [1]),
        tags.SAMPLES: (_SHORT, [1]),
        tags.PREDICTOR: (_SHORT, [2 if layout.differences else 1]),
        offsets_tag: (_LONG, lengths),
        lengths_tag: (_LONG, lengths),
    }
    if layout.tiled:
        fields[tags.TILE_WIDTH] = (_LONG, [layout.part_width])
        fields[tags.TILE_HEIGHT] = (_LONG, [layout.part_height])
    else:
        fields[tags.ROWS_PER_STRIP] = (_LONG, [layout.part_height])
    if layout.jpeg_tables:
        fields[tags.JPEG_TABLES] = (_BYTES, list(layout.jpeg_tables))
    values_at = _HEADER + 2 + 12 * len(fields) + 4
    values_size = sum(
        size
        for kind, numbers in fields.values()
        if (size := len(numbers) * struct.calcsize(_FORMS[kind])) > _VALUE_SIZE
    )
    # Offsets are limited to 4 GiB: `struct` refuses larger ones.
    fields[offsets_tag] = (_LONG, [values_at + values_size + before for before in accumulate([0, *lengths[:-1]])])
    entries, values = b"", b""
    for tag, (kind, numbers) in sorted(fields.items()):
        value = struct.pack(f"{order}{len(numbers)}{_FORMS[kind]}", *numbers)
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers))
        if len(value) <= _VALUE_SIZE:
            entries += value.ljust(_VALUE_SIZE, b"\0")
        else:
            entries += struct.pack(f"{order}I", values_at + len(values))
            values += value
    start = struct.pack(f"{order}2sHIH", b"MM" if order == ">" else b"II", 42, _HEADER, len(fields))
    return start + entries + bytes(4) + values
