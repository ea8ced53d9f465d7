"""Makes TIFF files tag by tag, with what no writer would write on purpose."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpa_sdk.fields.reading import read_plane
from hpa_sdk.fields.scenes import open_scenes

Compress = Callable[[bytes], bytes]


def read_in_station(path: Path) -> npt.NDArray[Any]:
    """Read the only plane of a file as a station does."""
    with open_scenes(path) as scenes:
        (scene,) = scenes.values()
        (stack,) = scene()
        assert stack.depth == 1
        return stack.read(0)


READERS = {"predict": read_plane, "station": read_in_station}
"""The two ways that a file takes: that of `hpa predict`, and that of `hpa watch`."""


def tiff(parts: Sequence[bytes], tags: dict[int, int | Sequence[int]], order: str = "<") -> bytes:
    """Make a TIFF of strips or tiles and tags; offsets and lengths are filled in where `tags` has none."""
    tiled = 322 in tags
    places = []
    content = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 0)
    for part in parts:
        places.append(len(content))
        content += part + b"\0" * (len(part) % 2)
    filled: dict[int, int | Sequence[int]] = {
        324 if tiled else 273: places,
        325 if tiled else 279: [len(part) for part in parts],
        **tags,
    }
    entries = b""
    start = len(content)
    values_at = start + 2 + 12 * len(filled) + 4
    values = b""
    for tag, value in sorted(filled.items()):
        numbers = [value] if isinstance(value, int) else list(value)
        packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
        if len(packed) > 4:
            values, packed = values + packed, struct.pack(f"{order}I", values_at + len(values))
        entries += struct.pack(f"{order}HHI", tag, 4, len(numbers)) + packed
    directory = struct.pack(f"{order}H", len(filled)) + entries + bytes(4)
    return content[:4] + struct.pack(f"{order}I", start) + content[8:] + directory + values


def plane_tiff(
    plane: npt.NDArray[Any],
    *,
    order: Any = "<",
    compression: int = 1,
    compress: Compress = bytes,
    tile: int = 0,
    rows: int = 0,
    **tags: int,
) -> bytes:
    """Make a TIFF of one plane in strips of some rows or in tiles; further tags are named ``tag_274`` and so on."""
    height, width = plane.shape
    stored = plane.astype(plane.dtype.newbyteorder(order))
    numbers: dict[int, int | Sequence[int]] = {
        256: width,
        257: height,
        258: 8 * plane.dtype.itemsize,
        259: compression,
        262: 1,
        277: 1,
        **{int(name.removeprefix("tag_")): value for name, value in tags.items()},
    }
    if tile:
        padded = np.pad(stored, ((0, -height % tile), (0, -width % tile)))
        parts = [
            padded[top : top + tile, left : left + tile].tobytes()
            for top in range(0, height, tile)
            for left in range(0, width, tile)
        ]
        numbers |= {322: tile, 323: tile}
    else:
        numbers[278] = rows or height
        parts = [stored[top : top + (rows or height)].tobytes() for top in range(0, height, rows or height)]
    return tiff([compress(part) for part in parts], numbers, order)


def flipped(content: bytes, at: int, bit: int = 0) -> bytes:
    """Change one bit."""
    changed = bytearray(content)
    changed[at] ^= 1 << bit
    return bytes(changed)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Make a chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
