"""Decodes a plane of a TIFF file by its layout, and checks each checksum that its compression has."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from io import BufferedReader
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.pixel_rules import as_plane
from hpa_sdk.fields.tiff_directory import read_directory
from hpa_sdk.fields.tiff_layout import UNCOMPRESSED, Layout, layout_of
from hpa_sdk.fields.tiff_pillow import JPEG, decode_by_pillow
from hpa_sdk.planes import Planes, damaged

Decoder = Callable[[], npt.NDArray[np.generic]]
"""Gives the stored pixels of a plane in a compression that only another package knows."""

_DEFLATE = (8, 32946)
_LZMA = 34925
_LZMA_MEMORY = 2**28
_NAMES = {
    2: "CCITT",
    3: "CCITT group 3",
    4: "CCITT group 4",
    6: "old JPEG",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG",
    34933: "PNG",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


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


def decode(
    layout: Layout,
    file: BufferedReader,
    path: Path,
    *,
    other: Decoder | None = None,
    codecs: ModuleType | None = None,
) -> Planes:
    """Decode a plane.

    Uncompressed, Deflate and LZMA planes are decoded here, so that the Adler-32 of Deflate and the checksum of LZMA are
    checked whoever reads the file.

    Parameters
    ----------
    layout : Layout
        Where the plane lies.
    file : binary file
        The open file.
    path : pathlib.Path
        The file, for messages.
    other : callable, optional
        Decodes the compressions that are not decoded here. Default: Pillow.
    codecs : module, optional
        imagecodecs, where it is loaded: its Deflate and its sums are faster than those of zlib and NumPy, and it checks
        the same checksum.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16 of shape (H, W), by the rules of `hpa_sdk.fields.pixel_rules`.

    Raises
    ------
    PlaneError
        The plane is damaged, or its compression is not known.
    """
    pixels: npt.NDArray[np.generic] | None
    if layout.compression == UNCOMPRESSED and _is_one_piece(layout):
        pixels = _read_piece(layout, file, path)
    elif layout.compression == UNCOMPRESSED:
        pixels = _join(layout, file, path, lambda content, _: content)
    elif layout.compression in _DEFLATE:
        if codecs is not None:
            pixels = _join(layout, file, path, lambda content, most: codecs.deflate_decode(content, out=most), codecs)
        else:
            pixels = _join(layout, file, path, lambda content, most: _whole(zlib.decompressobj(), content, most, path))
    elif layout.compression == _LZMA:
        make = import_module("lzma").LZMADecompressor  # some builds of Python have none
        pixels = _join(
            layout, file, path, lambda content, most: _whole(make(memlimit=_LZMA_MEMORY), content, most, path)
        )
    elif other is not None:
        pixels = other()
    else:
        pixels = decode_by_pillow(layout, (_stored(layout, file, part, path) for part in range(len(layout.parts))))
    if pixels is None:
        name = _NAMES.get(layout.compression, "a compression of another kind")
        raise PlaneError(
            f"the plane is compressed by {name} (Compression {layout.compression}), which is not read here",
            where=path,
            remedy="Save it uncompressed, or compressed by Deflate or LZW.",
        )
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
    layout: Layout,
    file: BufferedReader,
    path: Path,
    decompress: Callable[[bytes, int], bytes],
    codecs: ModuleType | None = None,
) -> npt.NDArray[np.generic]:
    """Decompress strips or tiles one by one, and put them in their places."""
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
        if layout.differences and codecs is not None:
            values = codecs.delta_decode(values.astype(pixels.dtype, copy=False), axis=1)
        elif layout.differences:
            values = np.cumsum(values, axis=1, dtype=pixels.dtype, out=None if layout.tiled else place)
        if values is not place:
            place[:] = values[: place.shape[0], : place.shape[1]]
    return pixels


def _whole(decompressor: _Decompressor, content: bytes, most: int, path: Path) -> bytes:
    """Decompress a stream to its end, where its checksum is, and never to more than it may hold."""
    pixels = decompressor.decompress(content, most + 1)
    if len(pixels) > most:
        raise damaged("a strip or tile decompresses to more than its size", path)
    if not decompressor.eof:
        raise damaged("a strip or tile ends before its checksum", path)
    return pixels
