"""Damages bytes as accidents and attackers do: some at random, some where a format stores its sizes."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

_PNG = b"\x89PNG\r\n\x1a\n"
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
_WORDS = (
    *(b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"NaN", b"-1", b"1e999", b"null", b"[" * 2000, b"{", b'"', b"\n", b","),
    *(b"../", b"..\\", b"C:\\", b"//host/share/", b"a" * 5000, "ß€😀".encode(), b"%s%n", b"9" * 5000, b"=", b"["),
)


def mutate(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Take one of the seeds and damage it in one to six places.

    Parameters
    ----------
    rng : random.Random
        The source of chance; the same state gives the same bytes.
    seeds : sequence of bytes
        Whole inputs; pieces of one can land in another.
    """
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        rng.choice(_WAYS)(rng, data, seeds)
    # A PNG's checksums would stop nearly all damage at the first chunk.
    return _with_checksums(bytes(data)) if data.startswith(_PNG) and rng.random() < 0.7 else bytes(data)


def _flip(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set_bytes(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at : at + rng.choice((1, 2, 4, 16))] = rng.randbytes(rng.choice((1, 2, 4, 16)))


def _set_number(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    size, form = rng.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    number = rng.choice(_EXTREMES) & (256**size - 1)
    at = rng.randrange(len(data) + 1)
    data[at : at + size] = struct.pack(rng.choice("<>") + form, number)


def _cut(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    del data[at : at + rng.choice((1, 4, 64, len(data)))]


def _repeat(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at, length = rng.randrange(len(data) + 1), rng.choice((1, 8, 64, 512))
    data[at:at] = data[at : at + length] * rng.choice((1, 2, 16))


def _insert_word(rng: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice(_WORDS)


def _splice(rng: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    other = rng.choice(seeds)
    at, start = rng.randrange(len(data) + 1), rng.randrange(len(other) + 1)
    length = rng.choice((8, 64, 512))
    data[at : at + rng.choice((0, length))] = other[start : start + length]


_WAYS: tuple[Callable[[random.Random, bytearray, Sequence[bytes]], None], ...] = (
    *(_flip, _flip, _set_bytes, _set_number, _set_number, _cut, _repeat, _insert_word, _splice),
)


def _with_checksums(png: bytes) -> bytes:
    parts, at = [_PNG], len(_PNG)
    while at + 12 <= len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        body = png[at + 4 : at + 8 + length]
        parts += [png[at : at + 4], body, zlib.crc32(body).to_bytes(4, "big")]
        at += 12 + length
    return b"".join(parts)
