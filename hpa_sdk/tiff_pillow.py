"""Has Pillow decode strips and tiles in the compressions that it brings along, without its own reading of the tags.

Pillow inverts some min-is-white pictures and not others, turns pictures by their Orientation, and maps whatever file
has the name that it is given. So it gets the compressed bytes alone, under tags that leave nothing to interpret.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import TiffImagePlugin

from hpa_sdk import tiff_directory as tags
from hpa_sdk.tiff_layout import Layout

JPEG = 7
"""The value of the Compression tag for JPEG."""

_KNOWN = (5, JPEG, 32773, 50000)  # LZW, JPEG, PackBits, ZSTD
_SHORT, _LONG, _BYTES = 3, 4, 7
_SIZES = {_SHORT: "H", _LONG: "I", _BYTES: "B"}
_MOST_BYTES = 2**32 - 1
_VALUE_SIZE = 4


def decode_by_pillow(layout: Layout, parts: Sequence[bytes]) -> npt.NDArray[np.generic] | None:
    """Decode the strips or tiles of a plane.

    Parameters
    ----------
    layout : Layout
        How the plane lies in its file.
    parts : sequence of bytes
        The compressed strips or tiles.

    Returns
    -------
    numpy.ndarray or None
        The stored pixels, of shape (H, W); None for a compression that Pillow does not know.
    """
    if layout.compression not in _KNOWN:
        return None
    with TiffImagePlugin.TiffImageFile(io.BytesIO(_tiff(layout, parts))) as image:
        return np.asarray(image)


def _tiff(layout: Layout, parts: Sequence[bytes]) -> bytes:
    order = ">" if layout.dtype.str.startswith(">") else "<"
    lengths = [len(part) for part in parts]
    places = {
        tags.WIDTH: (_LONG, [layout.width]),
        tags.HEIGHT: (_LONG, [layout.height]),
        tags.BITS: (_SHORT, [8 * layout.dtype.itemsize]),
        tags.COMPRESSION: (_SHORT, [layout.compression]),
        tags.PHOTOMETRIC: (_SHORT, [1]),
        tags.SAMPLES: (_SHORT, [1]),
        tags.PREDICTOR: (_SHORT, [2 if layout.differences else 1]),
        tags.TILE_OFFSETS if layout.tiled else tags.STRIP_OFFSETS: (_LONG, lengths),
        tags.TILE_COUNTS if layout.tiled else tags.STRIP_COUNTS: (_LONG, lengths),
    }
    if layout.tiled:
        places[tags.TILE_WIDTH] = (_LONG, [layout.part_width])
        places[tags.TILE_HEIGHT] = (_LONG, [layout.part_height])
    else:
        places[tags.ROWS_PER_STRIP] = (_LONG, [layout.part_height])
    if layout.jpeg_tables:
        places[tags.JPEG_TABLES] = (_BYTES, list(layout.jpeg_tables))
    directory_size = 2 + 12 * len(places) + 4
    values_size = sum(len(numbers) * struct.calcsize(_SIZES[kind]) for kind, numbers in places.values())
    start = 8 + directory_size + values_size
    offsets = [start]
    for length in lengths[:-1]:
        offsets.append(offsets[-1] + length)
    places[tags.TILE_OFFSETS if layout.tiled else tags.STRIP_OFFSETS] = (_LONG, offsets)
    head = struct.pack(f"{order}2sHIH", b"MM" if order == ">" else b"II", 42, 8, len(places))
    values = b""
    for tag, (kind, numbers) in sorted(places.items()):
        value = struct.pack(f"{order}{len(numbers)}{_SIZES[kind]}", *numbers)
        head += struct.pack(f"{order}HHI", tag, kind, len(numbers))
        if len(value) <= _VALUE_SIZE:
            head += value.ljust(_VALUE_SIZE, b"\0")
        else:
            head += struct.pack(f"{order}I", 8 + directory_size + len(values))
            values += value
    content = b"".join([head, bytes(4), values.ljust(values_size, b"\0"), *parts])
    if len(content) > _MOST_BYTES:
        message = f"{len(content)} bytes of compressed pixels"
        raise ValueError(message)
    return content
