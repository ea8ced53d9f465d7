"""Says how one plane lies in a TIFF file, and refuses what is no plane before a pixel of it is read."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields import tiff_directory as tags
from hpa_sdk.fields.pixel_rules import StoredForm, check_orientation, check_photometric, check_samples
from hpa_sdk.fields.tiff_directory import Directory
from hpa_sdk.planes import COPY_AGAIN, MAX_PIXELS, check_size, damaged

UNCOMPRESSED = 1
"""The value of the Compression tag for plain pixels."""

_HEADER = 8
_MOST_SAMPLES = 99
_PREDICTORS = (1, 2)
_FILL_ORDERS = (1, 2)


@dataclass(frozen=True, slots=True)
class Layout:
    """How one plane lies in a TIFF file.

    Attributes
    ----------
    height, width : int
        Of the plane, as stored.
    dtype : numpy.dtype
        Of a pixel, in the byte order of the file.
    form : StoredForm
        What the numbers mean.
    compression : int
        The tag of this name.
    differences : bool
        Whether each pixel is stored as its difference from the one on its left (Predictor 2).
    reversed_bits : bool
        Whether the bits of each byte are stored in reverse (FillOrder 2).
    tiled : bool
        Whether the parts are tiles, which are stored whole at the border too, and not strips.
    part_height, part_width : int
        Of a strip or tile.
    parts : tuple of (int, int)
        Offset and length of each strip or tile in the file.
    jpeg_tables : bytes or None
        The tables that the parts share, for JPEG.
    """

    height: int
    width: int
    dtype: np.dtype[np.uint8 | np.uint16]
    form: StoredForm
    compression: int
    differences: bool
    reversed_bits: bool
    tiled: bool
    part_height: int
    part_width: int
    parts: tuple[tuple[int, int], ...]
    jpeg_tables: bytes | None

    @property
    def nbytes(self) -> int:
        """Bytes of the plane once it is decompressed."""
        return self.height * self.width * self.dtype.itemsize

    def size_of(self, part: int) -> int:
        """Give the bytes of a strip or tile once it is decompressed."""
        rows = self.part_height
        if not self.tiled:
            rows = min(rows, self.height - part * rows)
        return rows * self.part_width * self.dtype.itemsize


def layout_of(directory: Directory, path: Path) -> Layout:
    """Check the form of a plane, before a pixel of it is read.

    Raises
    ------
    PlaneError
        It is too large or too small, not grey of 8 or 16 bits, or a part of it is not in the file.
    """
    width, height = directory.one(tags.WIDTH), directory.one(tags.HEIGHT)
    if not width or not height:
        raise damaged("its tags give no width or height", path)
    check_size(width, height, path)
    inverted = check_photometric(directory.one(tags.PHOTOMETRIC), path)
    dtype = check_samples(_bits(directory), directory.numbers.get(tags.SAMPLE_FORMAT, ()), path)
    compression = directory.one(tags.COMPRESSION) or UNCOMPRESSED
    predictor, fill_order = directory.one(tags.PREDICTOR) or 1, directory.one(tags.FILL_ORDER) or 1
    known = predictor in _PREDICTORS and fill_order in _FILL_ORDERS
    if not known or (compression == UNCOMPRESSED and predictor != 1):
        raise damaged(f"Compression {compression}, Predictor {predictor} and FillOrder {fill_order}", path)
    tiled = tags.TILE_OFFSETS in directory.numbers
    rows = directory.one(tags.TILE_HEIGHT) if tiled else min(directory.one(tags.ROWS_PER_STRIP) or height, height)
    columns = directory.one(tags.TILE_WIDTH) if tiled else width
    if not rows or not columns:
        raise damaged("its tags give no size of a tile", path)
    if rows * columns > MAX_PIXELS:
        raise PlaneError("its tiles are larger than any field", where=path, remedy="Export the field again.")
    layout = Layout(
        height=height,
        width=width,
        dtype=dtype.newbyteorder(directory.byte_order),
        form=StoredForm(inverted, check_orientation(directory.one(tags.ORIENTATION), path)),
        compression=compression,
        differences=predictor != 1,
        reversed_bits=fill_order != 1,
        tiled=tiled,
        part_height=rows,
        part_width=columns,
        parts=_parts(directory, ceil(height / rows) * ceil(width / columns), path),
        jpeg_tables=directory.texts.get(tags.JPEG_TABLES),
    )
    if compression == UNCOMPRESSED and any(
        count < layout.size_of(part) for part, (_, count) in enumerate(layout.parts)
    ):
        raise damaged("a strip or tile has fewer bytes than pixels", path)
    return layout


def _bits(directory: Directory) -> tuple[int, ...]:
    bits, samples = directory.numbers.get(tags.BITS, (1,)), directory.one(tags.SAMPLES) or 1
    return bits if len(bits) == samples else bits[:1] * min(samples, _MOST_SAMPLES)


def _parts(directory: Directory, needed: int, path: Path) -> tuple[tuple[int, int], ...]:
    tiled = tags.TILE_OFFSETS in directory.numbers
    offsets = directory.numbers.get(tags.TILE_OFFSETS if tiled else tags.STRIP_OFFSETS, ())
    counts = directory.numbers.get(tags.TILE_COUNTS if tiled else tags.STRIP_COUNTS, ())
    kind = "tile" if tiled else "strip"
    if min(len(offsets), len(counts)) < needed:
        raise damaged(f"{needed} {kind}s are needed, and its tags have {min(len(offsets), len(counts))}", path)
    parts = tuple(zip(offsets[:needed], counts[:needed], strict=True))
    for number, (offset, count) in enumerate(parts):
        if not offset or not count:
            raise PlaneError(
                f"a part of the plane is not there ({kind} {number} has offset {offset} and {count} bytes)",
                where=path,
                remedy=COPY_AGAIN,
            )
        if not _HEADER <= offset <= directory.file_size - count:
            raise damaged(f"{kind} {number} lies outside the file", path)
    # Parts never share bytes, so that a small file can't stand for a large amount of data to decode.
    if sum(count for _, count in parts) > directory.file_size:
        raise damaged(f"its {kind}s overlap", path)
    return parts
