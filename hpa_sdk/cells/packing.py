"""Packs label images and masks to few bytes, for ledgers and for messages between processes."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

_FAST = 1  # level of compression: label images have millions of pixels and few numbers
_NUMBERS = "<i4"


def pack_labels(labels: npt.NDArray[np.int32]) -> bytes:
    """Pack a label image, int32 of shape (H, W)."""
    return zlib.compress(labels.astype(_NUMBERS).tobytes(), _FAST)


def unpack_labels(packed: bytes, shape: tuple[int, int]) -> npt.NDArray[np.int32]:
    """Return a label image of this shape that `pack_labels` packed; it can't be written to."""
    return np.frombuffer(zlib.decompress(packed), _NUMBERS).reshape(shape)


def pack_mask(mask: npt.NDArray[np.bool_]) -> bytes:
    """Pack a mask, bool of shape (H, W)."""
    return zlib.compress(np.packbits(mask).tobytes(), _FAST)


def unpack_mask(packed: bytes, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return a mask of this shape that `pack_mask` packed."""
    bits = np.frombuffer(zlib.decompress(packed), np.uint8)
    return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(np.bool_)
