"""Reads the tags of a TIFF or BigTIFF picture within bounds, so that all readers use the same tags.

https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf, section 2; BigTIFF has wider counts and offsets.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpa_sdk.fields.planes import damaged

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
DESCRIPTION, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 270, 273, 274, 277, 278, 279
PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 284, 317, 320, 322, 323, 324, 325
SAMPLE_FORMAT, JPEG_TABLES, IMAGE_DEPTH, METAMORPH_PLANES = 339, 347, 32997, 33629

_BYTES = {DESCRIPTION, JPEG_TABLES}
_NUMBERS = {
    *(WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP),
    *(
        STRIP_COUNTS,
        PLANAR,
        PREDICTOR,
        COLOUR_MAP,
        TILE_WIDTH,
        TILE_HEIGHT,
        TILE_OFFSETS,
        TILE_COUNTS,
        SAMPLE_FORMAT,
        IMAGE_DEPTH,
    ),
}
_TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_TEXT_TYPES = (1, 2, 7)
_MOST_TAGS = 4096
_MOST_VALUES = 2**20
_MOST_TEXT = 2**16
_CLASSIC, _BIG = 42, 43
_PLANAR = 2
_IMAGEJ = re.compile(rb"\AImageJ=[^\0]*?\bimages=(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Directory:
    """The tags of one picture.

    Attributes
    ----------
    byte_order : {"<", ">"}
        Byte order of the file, in the notation of `struct` and NumPy.
    numbers : dict
        Values of the numeric tags.
    texts : dict
        Values of the byte and text tags. Only the start of the description is read.
    following : int
        Offset of the directory of the next picture; 0 for none.
    planes : int
        How many planes follow each other after this single directory, as in stacks of ImageJ, MetaMorph and SGI.
    file_size : int
        Bytes in the file.
    """

    byte_order: Literal["<", ">"]
    numbers: dict[int, tuple[int, ...]]
    texts: dict[int, bytes]
    following: int
    planes: int
    file_size: int

    @property
    def planar_samples(self) -> int:
        """Number of planes stored as separate samples of one picture (PlanarConfiguration 2); 1 for other pictures."""
        samples = self.one(SAMPLES) or 1
        return samples if self.one(PLANAR) == _PLANAR else 1

    def one(self, tag: int) -> int | None:
        """Return the first value of a tag; None if it is absent."""
        values = self.numbers.get(tag)
        return values[0] if values else None


def read_directory(file: io.BufferedReader, path: Path, offset: int | None = None) -> Directory:
    """Read the tags of a picture.

    Parameters
    ----------
    file : binary file
        The open file.
    path : pathlib.Path
        The file, for messages.
    offset : int, optional
        Offset of its directory. Default: that of the first picture.

    Raises
    ------
    PlaneError
        The directory is damaged.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(16)
    order: Literal["<", ">"] = "<" if head[:2] == b"II" else ">"
    try:
        (version,) = struct.unpack_from(f"{order}H", head, 2)
        big = version == _BIG
        if version not in {_CLASSIC, _BIG}:
            raise damaged(f"TIFF of version {version}", path)
        if offset is None:
            (offset,) = struct.unpack_from(f"{order}Q" if big else f"{order}I", head, 8 if big else 4)
        return _read(_Bounded(file, size, path), order, offset, big=big)
    except struct.error as error:
        raise damaged("the file ends in its tags", path) from error


class _Bounded:
    """Reads pieces of a file, and only pieces inside it."""

    def __init__(self, file: io.BufferedReader, size: int, path: Path) -> None:
        self.file = file
        self.size = size
        self.path = path

    def read(self, offset: int, length: int) -> bytes:
        if not 0 < offset <= self.size - length:
            raise damaged("a tag lies beyond the end of the file", self.path)
        self.file.seek(offset)
        return self.file.read(length)


def _read(file: _Bounded, order: Literal["<", ">"], offset: int, *, big: bool) -> Directory:
    count_form, entry_form, value_size, link_form = ("Q", "HHQ", 8, "Q") if big else ("H", "HHI", 4, "I")
    (count,) = struct.unpack(order + count_form, file.read(offset, struct.calcsize(order + count_form)))
    if not 0 < count <= _MOST_TAGS:
        raise damaged(f"{count} tags", file.path)
    start = offset + struct.calcsize(order + count_form)
    entry_size = struct.calcsize(order + entry_form) + value_size
    entries = file.read(start, count * entry_size)
    numbers: dict[int, tuple[int, ...]] = {}
    texts: dict[int, bytes] = {}
    planes = 1
    for at in range(0, len(entries), entry_size):
        tag, kind, length = struct.unpack_from(order + entry_form, entries, at)
        if tag in numbers or tag in texts:
            raise damaged(f"tag {tag} is there twice", file.path)
        if tag == METAMORPH_PLANES:
            planes = max(planes, length)
        if tag not in _NUMBERS and tag not in _BYTES:
            continue
        inline = entries[at + entry_size - value_size : at + entry_size]
        if tag in _BYTES and kind in _TEXT_TYPES and (tag == DESCRIPTION or length <= _MOST_TEXT):
            form = f"{length}s"
        elif tag in _NUMBERS and kind in _TYPES and 0 < length <= _MOST_VALUES:
            form = f"{order}{length}{_TYPES[kind]}"
        else:
            raise damaged(f"tag {tag} has {length} values of type {kind}", file.path)
        value_length = struct.calcsize(form)
        if value_length <= value_size:
            value = inline[:value_length]
        else:
            # A description can be long, and its start is enough.
            read = min(value_length, _MOST_TEXT) if tag in _BYTES else value_length
            value = file.read(struct.unpack(order + link_form, inline)[0], read)
        if tag in _BYTES:
            texts[tag] = value
        else:
            numbers[tag] = struct.unpack(form, value)
    (following,) = struct.unpack(order + link_form, file.read(start + len(entries), struct.calcsize(order + link_form)))
    planes = max(planes, *numbers.get(IMAGE_DEPTH, (1,)), _planes_by_description(texts.get(DESCRIPTION, b"")))
    return Directory(order, numbers, texts, following, planes, file.size)


def _planes_by_description(text: bytes) -> int:
    """Return the number of planes for which ImageJ or tifffile wrote only the first directory."""
    imagej = _IMAGEJ.match(text)
    if imagej:
        return int(imagej[1])
    if text.startswith(b'{"shape"'):
        with suppress(ValueError, TypeError, AttributeError, RecursionError):
            description = json.loads(text.rstrip(b"\0"))
            if description.get("truncated"):
                return math.prod(description["shape"][:-2])
    return 1
