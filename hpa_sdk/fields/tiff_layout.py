"""Finds how one plane is stored in a TIFF file, and refuses anything else before any pixel is read."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields import tiff_directory as tags
from hpa_sdk.fields.pixel_rules import (
    DEPTHS,
    StoredForm,
    check_orientation,
    check_palette,
    check_photometric,
    check_planar,
    check_samples,
    not_grey,
)
from hpa_sdk.fields.planes import COPY_AGAIN, MAX_PIXELS, check_size, damaged
from hpa_sdk.fields.tiff_directory import Directory

UNCOMPRESSED = 1
"""The value of the Compression tag for uncompressed pixels."""

_HEADER = 8
_MOST_SAMPLES = 99
_PALETTE = 3
_BYTE = 8
# JPEG, JPEG 2000, PNG, JPEG XR and JPEG XL: each part is a complete picture.
_PICTURE_COMPRESSIONS = (7, 22610, 33003, 33004, 33005, 33007, 34712, 34892, 34933, 34934, 50002, 52546)
_PREDICTORS = (1, 2)
_FILL_ORDERS = (1, 2)


@dataclass(frozen=True, slots=True)
class Layout:
    """How one plane is stored in a TIFF file.

    Attributes
    ----------
    height, width : int
        Size of the plane, as stored.
    dtype : numpy.dtype
        Type of a pixel, in the byte order of the file.
    form : StoredForm
        The meaning of the numbers.
    compression : int
        The value of the Compression tag.
    differences : bool
        Whether each pixel is stored as its difference from the one on its left (Predictor 2).
    reversed_bits : bool
        Whether the bits of each byte are stored in reverse order (FillOrder 2).
    tiled : bool
        Whether the parts are tiles, which have their full size at the border too, and not strips.
    part_height, part_width : int
        Size of a strip or tile.
    parts : tuple of (int, int)
        Offset and length of each strip or tile in the file.
    jpeg_tables : bytes or None
        The JPEG tables that all parts share.
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
        """Size of the decompressed plane in bytes."""
        return self.height * self.width * self.dtype.itemsize

    def size_of(self, part: int) -> int:
        """Return the size of a decompressed strip or tile in bytes."""
        rows = self.part_height
        if not self.tiled:
            rows = min(rows, self.height - part * rows)
        return rows * self.part_width * self.dtype.itemsize


def layout_of(directory: Directory, path: Path, sample: int | None = None) -> Layout:
    """Check the form of a plane before any of its pixels is read.

    Parameters
    ----------
    directory : Directory
        Its tags.
    path : pathlib.Path
        The file, for messages.
    sample : int, optional
        The index of the plane among the planar samples. Default: the picture must have a single plane.

    Raises
    ------
    PlaneError
        It is too large or too small, not grey of 8 or 16 bits, or a part of it is not in the file.
    """
    width, height = directory.one(tags.WIDTH), directory.one(tags.HEIGHT)
    if not width or not height:
        raise damaged("its tags give no width or height", path)
    check_size(width, height, path)
    dtype, form = _form(directory, path, sample)
    compression = directory.one(tags.COMPRESSION) or UNCOMPRESSED
    predictor, fill_order = directory.one(tags.PREDICTOR) or 1, directory.one(tags.FILL_ORDER) or 1
    known = predictor in _PREDICTORS and fill_order in _FILL_ORDERS
    if not known or (compression == UNCOMPRESSED and predictor != 1):
        raise PlaneError(
            f"Compression {compression} with Predictor {predictor} and FillOrder {fill_order} is not read",
            where=path,
            remedy="Save it uncompressed, or compressed by Deflate or LZW, with Predictor 1 or 2.",
        )
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
        form=form,
        compression=compression,
        differences=predictor != 1,
        reversed_bits=fill_order != 1,
        tiled=tiled,
        part_height=rows,
        part_width=columns,
        parts=_parts(directory, ceil(height / rows) * ceil(width / columns), path, sample or 0),
        jpeg_tables=directory.texts.get(tags.JPEG_TABLES),
    )
    if compression == UNCOMPRESSED and any(
        count < layout.size_of(part) for part, (_, count) in enumerate(layout.parts)
    ):
        raise damaged("a strip or tile has fewer bytes than pixels", path)
    return layout


def _form(directory: Directory, path: Path, sample: int | None) -> tuple[np.dtype[np.uint8 | np.uint16], StoredForm]:
    bits, formats = _bits(directory), directory.numbers.get(tags.SAMPLE_FORMAT, ())
    photometric = directory.one(tags.PHOTOMETRIC)
    why = "PhotometricInterpretation 0"
    if (planes := directory.planar_samples) > 1:
        inverted = check_planar(planes, photometric, path)
        if sample is None:
            raise not_grey(f"{planes} planes in one picture (PlanarConfiguration 2)", path)
        bits, formats = bits[sample : sample + 1], formats[sample : sample + 1] or formats
    elif photometric == _PALETTE and len(bits) == 1 and bits[0] in DEPTHS:
        inverted = check_palette(directory.numbers.get(tags.COLOUR_MAP, ()), bits[0], path)
        why = "its colour table"
    else:
        inverted = check_photometric(photometric, path)
    if directory.one(tags.COMPRESSION) in _PICTURE_COMPRESSIONS and len(bits) == 1 and _BYTE < bits[0] < 2 * _BYTE:
        bits = (2 * _BYTE,)  # 10 or 12 bits are not packed in these formats: a decoder returns 16
    orientation = check_orientation(directory.one(tags.ORIENTATION), path)
    return check_samples(bits, formats, path), StoredForm(inverted, orientation, why)


def _bits(directory: Directory) -> tuple[int, ...]:
    bits, samples = directory.numbers.get(tags.BITS, (1,)), directory.one(tags.SAMPLES) or 1
    return bits if len(bits) == samples else bits[:1] * min(samples, _MOST_SAMPLES)


def _parts(directory: Directory, needed: int, path: Path, sample: int) -> tuple[tuple[int, int], ...]:
    tiled = tags.TILE_OFFSETS in directory.numbers
    offsets = directory.numbers.get(tags.TILE_OFFSETS if tiled else tags.STRIP_OFFSETS, ())
    counts = directory.numbers.get(tags.TILE_COUNTS if tiled else tags.STRIP_COUNTS, ())
    kind = "tile" if tiled else "strip"
    before = sample * needed
    if min(len(offsets), len(counts)) < before + needed:
        raise damaged(f"{before + needed} {kind}s are needed, and its tags have {min(len(offsets), len(counts))}", path)
    parts = tuple(zip(offsets[before : before + needed], counts[before : before + needed], strict=True))
    for number, (offset, count) in enumerate(parts):
        if not offset or not count:
            raise PlaneError(
                f"a part of the plane is not there ({kind} {number} has offset {offset} and {count} bytes)",
                where=path,
                remedy=COPY_AGAIN,
            )
        if not _HEADER <= offset <= directory.file_size - count:
            raise damaged(f"{kind} {number} lies outside the file", path)
    # Parts never share bytes, so a small file can't expand to a large amount of data.
    if sum(count for _, count in parts) > directory.file_size:
        raise damaged(f"its {kind}s overlap", path)
    return parts
