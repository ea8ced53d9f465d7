"""Saves networks. A full disk gives a clear error, and the old file stays as it was."""

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
"""Bytes in addition to the numbers: HDF5 needs some thousands for each of up to three thousand variables."""

_REMEDY = "Free some space and resume with --resume: the earlier file is unchanged."


def save(path: Path, network: keras.Model, write: Callable[[Path], object]) -> None:
    """Save a network; after an error the earlier file is unchanged.

    Parameters
    ----------
    path : pathlib.Path
        The file to write.
    network : keras.Model
        The network to save; with its optimizer, if it is compiled.
    write : callable
        Saves it into the given partial file.

    Raises
    ------
    OutputError
        The disk is full or nearly so, or the file can't be written.
    """
    # Checked beforehand, since a disk that fills up can crash HDF5.
    free, needed = shutil.disk_usage(path.parent).free, _size(network)
    if free < needed:
        message = f"the disk is full: {free / 1e6:.0f} MB are free, and {needed / 1e6:.0f} MB may be needed"
        raise OutputError(message, where=path, remedy=_REMEDY)
    with atomic_write(path) as partial:
        try:
            write(partial)
        except (OSError, RuntimeError) as error:
            # HDF5 raises either; for a full disk, it does not always give the errno.
            full = isinstance(error, OSError) and error.errno in FULL_DISK
            message = "the disk is full" if full else f"the network can't be saved ({error}); the disk may be full"
            raise OutputError(message, where=path, remedy=_REMEDY) from error


def _size(network: keras.Model) -> int:
    optimizer = getattr(network, "optimizer", None)
    variables = [*network.variables, *([] if optimizer is None else optimizer.variables)]
    return _HEADERS + sum(int(math.prod(one.shape)) * _width(one.dtype) for one in variables)


def _width(dtype: str) -> int:
    """Return the bytes per number; NumPy does not know bfloat16."""
    return 2 if dtype == "bfloat16" else int(np.dtype(dtype).itemsize)
