"""Packages of bioimage.io that describe themselves in every way that is read, and how to complete their cards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from hpa_sdk.models.card_file import card_template
from hpa_sdk.models.onnx_file import read_onnx
from tests.hpa_sdk.any_network.made_package import Description, make_package
from tests.stand_ins import Interface

SIDE = 48
NCHW = Interface(side=SIDE)
NHWC = Interface(side=SIDE, layout="nhwc", channels=("blue", "green"), batch=None, opset=17)
PLANES = np.random.default_rng(6).integers(0, 256, (4, SIDE, SIDE), np.uint8)
GAIN = 0.003921568627


def scaled(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return image * GAIN


def by_mean(image: npt.NDArray[np.float64]) -> Any:
    channels = image.shape[-1] if image.shape[-1] < SIDE else image.shape[0]
    shape = (-1,) if image.shape[-1] < SIDE else (-1, 1, 1)
    mean, std = np.arange(channels) * 10.0 + 20, np.arange(channels) * 5.0 + 40
    return (image - mean.reshape(shape)) / std.reshape(shape)


def to_range(image: npt.NDArray[np.float64]) -> Any:
    low, high = np.percentile(image, (1, 99.8))
    return (image - low) / (high - low + 1e-6)


def to_variance(image: npt.NDArray[np.float64]) -> Any:
    return (image - image.mean(axis=(1, 2), keepdims=True)) / (image.std(axis=(1, 2), keepdims=True) + 1e-6)


def range_then_shift(image: npt.NDArray[np.float64]) -> Any:
    return to_range(image) * 2.0 - 0.5


_RANGE = {"min_percentile": 1, "max_percentile": 99.8}
CASES: dict[str, tuple[Interface, Description, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]]] = {
    "0.4, the published way": (
        NCHW,
        Description(
            steps=[{"name": "scale_linear", "kwargs": {"axes": "xy", "gain": [GAIN] * 4, "offset": [0.0] * 4}}]
        ),
        scaled,
    ),
    "0.4, fixed mean": (
        NHWC,
        Description(
            dtype="uint8",
            limits=(None, None),
            steps=[
                {
                    "name": "zero_mean_unit_variance",
                    "kwargs": {"mode": "fixed", "axes": "xy", "mean": [20.0, 30.0], "std": [40.0, 45.0]},
                }
            ],
        ),
        by_mean,
    ),
    "0.4, percentiles": (
        NCHW,
        Description(steps=[{"name": "scale_range", "kwargs": {"mode": "per_sample", "axes": "cyx", **_RANGE}}]),
        to_range,
    ),
    "0.4, variance of each channel": (
        NCHW,
        Description(
            steps=[{"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_sample", "axes": "xy"}}],
        ),
        to_variance,
    ),
    "0.5, two linear steps": (
        NHWC,
        Description(
            version="0.5.3",
            steps=[
                {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
                {"id": "scale_linear", "kwargs": {"gain": 0.5, "offset": 0.0}},
                {"id": "scale_linear", "kwargs": {"axis": "channel", "gain": [2 * GAIN] * 2, "offset": [0.0] * 2}},
            ],
        ),
        scaled,
    ),
    "0.5, fixed mean": (
        NCHW,
        Description(
            version="0.5.4",
            steps=[
                {
                    "id": "fixed_zero_mean_unit_variance",
                    "kwargs": {"axis": "channel", "mean": [20.0, 30.0, 40.0, 50.0], "std": [40.0, 45.0, 50.0, 55.0]},
                }
            ],
        ),
        by_mean,
    ),
    "0.5, percentiles, then linear": (
        NCHW,
        Description(
            version="0.5.0",
            steps=[
                {"id": "scale_range", "kwargs": {"axes": ["channel", "y", "x"], **_RANGE}},
                {"id": "scale_linear", "kwargs": {"gain": 2.0, "offset": -0.5}},
            ],
        ),
        range_then_shift,
    ),
    "0.5, logits": (
        replace(NCHW, logits=True),
        Description(
            version="0.5.3",
            steps=[{"id": "scale_linear", "kwargs": {"gain": GAIN}}],
            output_limits=(None, None),
            output_steps=[{"id": "sigmoid"}],
        ),
        scaled,
    ),
    "0.5, the image is finished": (
        NCHW,
        Description(version="0.5.3", limits=(0.0, 1.0)),
        lambda image: image,
    ),
}


def in_layout(interface: Interface, planes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    taken = planes[[("red", "green", "blue", "yellow").index(channel) for channel in interface.channels]]
    return taken if interface.layout == "nchw" else taken.transpose(1, 2, 0)


def package_of(path: Path, interface: Interface, given: Description, compute: Any = lambda image: image) -> Path:
    image = in_layout(interface, PLANES).astype(np.float32)
    image = (image / np.float32(255) if given.limits == (0.0, 1.0) else image).astype(given.dtype)
    return make_package(path, interface, given, image, compute(image.astype(np.float64)))


def completed(path: Path, interface: Interface, **changes: str) -> Path:
    """Write the card that the package's template becomes when a person completes it."""
    text = card_template(read_onnx(path))
    channels = msgspec.json.encode(list(interface.channels)).decode()
    for empty, value in {
        'scheme = ""': 'scheme = "hpa-2018"',
        'scores_are = ""': f'scores_are = "{"logits" if interface.logits else "probabilities"}"',
        "channels = []": f"channels = {channels}",
        **changes,
    }.items():
        text = text.replace(empty, value)
    card = path.with_suffix(".toml")
    card.write_text(text, encoding="utf-8")
    return card
