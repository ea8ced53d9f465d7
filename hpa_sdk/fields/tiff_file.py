"""Decodes a plane of a TIFF file from its layout, and verifies every checksum that its compression has."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from io import BufferedReader
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.pixel_rules import as_plane
from hpa_sdk.fields.planes import damaged
from hpa_sdk.fields.tiff_directory import read_directory
from hpa_sdk.fields.tiff_imagecodecs import decode_by_imagecodecs
from hpa_sdk.fields.tiff_layout import UNCOMPRESSED, Layout, layout_of
from hpa_sdk.fields.tiff_pillow import JPEG, decode_by_pillow
from hpa_sdk.preprocessing import Planes

_DEFLATE = (8, 32946)
_LZMA = 34925
_ZSTD = 50000
_LZMA_MEMORY = 2**28
_PIECE = 2**16
_COLUMNS = 512
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes | memoryview, max_length: int, /) -> bytes: ...


def read_tiff(file: BufferedReader, path: Path) -> tuple[Planes, tuple[str, ...]]:
    """Read a file of one plane.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16 of shape (H, W).
    tuple of str
        What was done to the pixels.

    Raises
    ------
    PlaneError
        The file holds several pictures, or as for `layout_of` and `decode`.
    """
    directory = read_directory(file, path)
    layout = layout_of(directory, path)
    if directory.following or directory.planes > 1:
        raise PlaneError(
            "the file holds more than one picture", where=path, remedy="Export each channel as a file of its own."
        )
    return decode(layout, file, path), layout.form.notes


def decode(layout: Layout, file: BufferedReader, path: Path) -> Planes:
    """Decode a plane.

    Uncompressed, Deflate and LZMA planes are decoded here, so that the checksums of Deflate (Adler-32) and LZMA are
    always verified. Pillow decodes LZW, JPEG, PackBits and ZSTD, and imagecodecs, if it is installed, decodes others.

    Parameters
    ----------
    layout : Layout
        The position of the plane in the file.
    file : binary file
        The open file.
    path : pathlib.Path
        The file, for messages.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16 of shape (H, W), by the rules of `hpa_sdk.fields.pixel_rules`.

    Raises
    ------
    PlaneError
        The plane is damaged, or its compression is not supported. The message names the compression.
    """
    pixels: npt.NDArray[np.generic] | None
    codecs = _imagecodecs() if layout.compression in {*_DEFLATE, _ZSTD} else None
    if layout.compression == UNCOMPRESSED and _is_one_piece(layout):
        pixels = _read_piece(layout, file, path)
    elif layout.compression == UNCOMPRESSED:
        pixels = _join(layout, file, path, lambda content, _: content)
    elif codecs is not None:
        # Both decoders verify the same checksum as those below, and stop at the given size.
        decompress = codecs.zstd_decode if layout.compression == _ZSTD else codecs.deflate_decode
        pixels = _join(layout, file, path, lambda content, most: decompress(content, out=most))
    elif layout.compression in _DEFLATE:
        pixels = _join(layout, file, path, lambda content, most: _whole(zlib.decompressobj(), content, most, path))
    elif layout.compression == _LZMA:
        make = import_module("lzma").LZMADecompressor  # some builds of Python do not have it
        pixels = _join(
            layout, file, path, lambda content, most: _whole(make(memlimit=_LZMA_MEMORY), content, most, path)
        )
    else:
        stored = [_stored(layout, file, part, path) for part in range(len(layout.parts))]
        pixels = decode_by_pillow(layout, stored)
        if pixels is None:
            pixels = decode_by_imagecodecs(layout, stored, path)
    if pixels.shape != (layout.height, layout.width) or pixels.dtype.newbyteorder("=") != layout.dtype.newbyteorder(
        "="
    ):
        raise damaged(f"decoded to {pixels.dtype} of shape {pixels.shape}", path)
    return as_plane(cast("Planes", pixels), layout.form)


def _stored(layout: Layout, file: BufferedReader, part: int, path: Path) -> bytes:
    offset, count = layout.parts[part]
    if layout.compression == UNCOMPRESSED:
        count = layout.size_of(part)
    file.seek(offset)
    content = file.read(count)
    if len(content) < count:
        raise damaged("the file ends in its pixels", path)
    return content.translate(_REVERSED) if layout.reversed_bits and layout.compression != JPEG else content


def _is_one_piece(layout: Layout) -> bool:
    if layout.tiled or layout.reversed_bits:
        return False
    at = layout.parts[0][0]
    for part, (offset, _) in enumerate(layout.parts):
        if offset != at:
            return False
        at += layout.size_of(part)
    return True


def _read_piece(layout: Layout, file: BufferedReader, path: Path) -> npt.NDArray[np.generic]:
    pixels = np.empty((layout.height, layout.width), layout.dtype)
    file.seek(layout.parts[0][0])
    if file.readinto(pixels.view(np.uint8).data) < pixels.nbytes:
        raise damaged("the file ends in its pixels", path)
    return pixels


def _join(
    layout: Layout, file: BufferedReader, path: Path, decompress: Callable[[bytes, int], bytes | bytearray]
) -> npt.NDArray[np.generic]:
    """Decompress strips or tiles one by one, and copy them to their positions."""
    pixels = np.empty((layout.height, layout.width), layout.dtype.newbyteorder("="))
    across = -(-layout.width // layout.part_width)
    most = layout.part_height * layout.part_width * layout.dtype.itemsize
    for part in range(len(layout.parts)):
        needed = layout.size_of(part)
        content = decompress(_stored(layout, file, part, path), most)
        if len(content) < needed:
            raise damaged(f"a strip or tile has {len(content)} bytes of {needed}", path)
        values = np.frombuffer(content, layout.dtype, needed // layout.dtype.itemsize).reshape(-1, layout.part_width)
        top, left = part // across * layout.part_height, part % across * layout.part_width
        place = pixels[top : top + layout.part_height, left : left + layout.part_width]
        place[:] = values[: place.shape[0], : place.shape[1]]
    if layout.differences:
        for left in range(0, layout.width, layout.part_width):
            _sum_rows(pixels[:, left : left + layout.part_width])
    return pixels


def _imagecodecs() -> ModuleType | None:
    """Return imagecodecs if it is installed. It is faster than zlib and NumPy."""
    try:
        return import_module("imagecodecs")
    except ImportError:
        return None


def _sum_rows(differences: npt.NDArray[np.generic]) -> None:
    """Sum up the differences in each row: row by row of the transpose, which takes half the time of `cumsum`."""
    if (codecs := _imagecodecs()) is not None:
        codecs.delta_decode(differences, axis=1, out=differences)
        return
    before = None
    for left in range(0, differences.shape[1], _COLUMNS):
        block = differences[:, left : left + _COLUMNS]
        columns: npt.NDArray[Any] = cv2.transpose(cast("Any", block)).reshape(block.shape[::-1])
        for column in columns:
            if before is not None:
                np.add(before, column, column)
            before = column
        block[:] = cv2.transpose(columns).reshape(block.shape)


def _whole(decompressor: _Decompressor, content: bytes, most: int, path: Path) -> bytes | bytearray:
    """Decompress a stream to its end, where its checksum is, and never to more than its size limit."""
    if most <= _PIECE:
        pixels: bytes | bytearray = decompressor.decompress(content, most + 1)
    else:
        # Piece by piece: in one call, the output is copied each time that it outgrows its buffer.
        pixels, stream = bytearray(), memoryview(content)
        for at in range(0, len(content), _PIECE):
            pixels += decompressor.decompress(stream[at : at + _PIECE], most + 1 - len(pixels))
            if decompressor.eof or len(pixels) > most:
                break
    if len(pixels) > most:
        raise damaged("a strip or tile decompresses to more than its size", path)
    if not decompressor.eof:
        raise damaged("a strip or tile ends before its checksum", path)
    return pixels
