"""Saves networks so that a disk without room for them is told of as such, and harms nothing."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from hpa_sdk.errors import OutputError
from hpa_sdk.files.atomic_write import FULL_DISK, atomic_write

_HEADERS = 32 * 2**20
"""Bytes beside the numbers: HDF5 keeps some thousands for each of up to three thousand variables."""

_REMEDY = "Free some space and go on with --resume: what stood here before is unchanged."


def save(path: Path, network: keras.Model, write: Callable[[Path], object]) -> None:
    """Save a network, or leave the file as it was.

    Parameters
    ----------
    path : pathlib.Path
        The file to make.
    network : keras.Model
        What is to be saved; with its optimizer, where it is compiled.
    write : callable
        Saves it into the partial file that it is given.

    Raises
    ------
    OutputError
        The disk is full or nearly so, or the file can't be written.
    """
    # Looked at beforehand, since HDF5 does not survive every disk that fills up under it.
    free, needed = shutil.disk_usage(path.parent).free, _size(network)
    if free < needed:
        told = f"the disk is full: {free / 1e6:.0f} MB are free, and {needed / 1e6:.0f} MB may be needed"
        raise OutputError(told, where=path, remedy=_REMEDY)
    with atomic_write(path) as partial:
        try:
            write(partial)
        except (OSError, RuntimeError) as error:
            # HDF5 raises either; where it was the disk, its number does not always come along.
            full = isinstance(error, OSError) and error.errno in FULL_DISK
            told = "the disk is full" if full else f"the network can't be saved ({error}); the disk may be full"
            raise OutputError(told, where=path, remedy=_REMEDY) from error


def _size(network: keras.Model) -> int:
    optimizer = getattr(network, "optimizer", None)
    variables = [*network.variables, *([] if optimizer is None else optimizer.variables)]
    return _HEADERS + sum(int(math.prod(one.shape)) * _width(one.dtype) for one in variables)


def _width(dtype: str) -> int:
    """Give the bytes of a number; NumPy does not know bfloat16."""
    return 2 if dtype == "bfloat16" else int(np.dtype(dtype).itemsize)
