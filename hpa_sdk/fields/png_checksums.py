"""Checks the checksum of each chunk of a PNG file. Decoders ignore the checksum of the pixel data."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from hpa_sdk.fields.planes import check_size, damaged

SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""The first bytes of every PNG file."""

HEADER_SIZE = 33
"""Bytes from the start of the file to the end of the chunk IHDR."""

_FRAME = 12  # length, type and checksum
_MOST_CHUNKS = 2**18
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_SPARE = 2**24


def most_bytes(header: bytes, path: Path) -> int:
    """Check the size of a PNG, and return the largest plausible size of its file in bytes.

    Parameters
    ----------
    header : bytes
        The first `HEADER_SIZE` bytes.
    path : pathlib.Path
        The file, for messages.

    Raises
    ------
    PlaneError
        The file ends within its header, or the plane is too large or too small.
    """
    if len(header) < HEADER_SIZE or header[12:16] != b"IHDR":
        raise damaged("it has no header", path)
    width, height, bits, colours = struct.unpack_from(">IIBB", header, 16)
    check_size(width, height, path)
    # Incompressible data are stored unchanged, with one byte per row. Text and profiles are small.
    return int(1.1 * height * (1 + width * bits * _SAMPLES.get(colours, 4) / 8)) + _SPARE


def check_chunks(content: bytes, path: Path) -> None:
    """Check that a PNG is complete and that no chunk is damaged.

    The Adler-32 of the pixels' Deflate stream is not checked: the checksums of the chunks cover the same data.

    Raises
    ------
    PlaneError
        A checksum does not match its chunk, or the file ends before its last chunk.
    """
    view = memoryview(content)
    at = len(SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        if at + _FRAME > len(content):
            raise damaged("the file ends before its last chunk", path)
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 8 + length
        if end + 4 > len(content):
            raise damaged("the file ends before its last chunk", path)
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise damaged(f"the checksum of its chunk {kind.decode('ascii', 'replace')} is wrong", path)
        if kind == b"IEND":
            return
        at = end + 4
    raise damaged(f"more than {_MOST_CHUNKS} chunks", path)
