"""Reads weights that PyTorch wrote, without PyTorch, so that a fit can start from them.

The format is that of before 2020: three pickles of facts, one of tensors that name their storages, the names of the
storages, then the storages themselves.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

_FACTS = 3
_DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}

Weights = npt.NDArray[np.float32]
"""The numbers of one tensor."""


def read_arrays(file: Path) -> dict[str, Weights]:
    """Read the tensors of a file in PyTorch's old format; nothing in the file is run."""
    with file.open("rb") as stream:
        for _ in range(_FACTS):
            _Tensors(stream).load()
        tensors = _Tensors(stream)
        found = tensors.load()
        storages = {key: _storage(stream, tensors.kinds[key]) for key in _Tensors(stream).load()}
    return {name: _tensor(storages[key], *form) for name, (key, *form) in found.items()}


def _storage(stream: BinaryIO, kind: str) -> npt.NDArray[Any]:
    count = int.from_bytes(stream.read(8), "little")
    dtype = np.dtype(_DTYPES[kind])
    return np.frombuffer(stream.read(count * dtype.itemsize), dtype)


def _tensor(storage: npt.NDArray[Any], offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:  # noqa: ANN401
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps).copy()


class _Tensors(pickle.Unpickler):
    """Reads the pickles, and knows no class but those of tensors."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.kinds: dict[str, str] = {}

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - a class or function
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda key, offset, shape, strides, *_: (key, offset, shape, strides)
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is no part of tensors")

    def persistent_load(self, pid: Any) -> Any:  # noqa: ANN401 - as the base class has it
        _, kind, key, *_ = pid
        self.kinds[key] = kind
        return key
