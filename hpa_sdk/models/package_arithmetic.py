"""Follows the processing of an input that a bioimage.io package describes, as numbers for each channel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hpa_sdk.models.package_description import DescribedTensor, Step, no_counterpart
from hpa_sdk.preprocessing import Image, Normalization

_Numbers = npt.NDArray[np.float64]
_NORMALIZATIONS = ("scale_range", "zero_mean_unit_variance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """What is computed of the values of an input tensor.

    Attributes
    ----------
    gain, offset : numpy.ndarray
        float64 of shape (channels,): a value is multiplied, then added to.
    normalization : Normalization or None
        What follows.
    gain_after, offset_after : numpy.ndarray
        As `gain` and `offset`, after that.
    """

    gain: _Numbers
    offset: _Numbers
    normalization: Normalization | None
    gain_after: _Numbers
    offset_after: _Numbers

    def __call__(self, image: npt.NDArray[Any], channel_axis: int) -> Image:
        """Compute the network's input from a tensor without the batch dimension."""
        scaled = np.moveaxis(image.astype(np.float64), channel_axis, -1) * self.gain + self.offset
        result = scaled if self.normalization is None else self.normalization(scaled.astype(np.float32))
        result = result * self.gain_after + self.offset_after
        return np.ascontiguousarray(np.moveaxis(result, -1, channel_axis), np.float32)


def arithmetic_of(tensor: DescribedTensor, channels: int, where: Path) -> Arithmetic:
    """Combine the steps of an input.

    Parameters
    ----------
    tensor : DescribedTensor
        The input.
    channels : int
        Its number of channels.
    where : pathlib.Path
        The package, for messages.

    Raises
    ------
    ModelFileError
        A step has no counterpart here. The message names it.
    """
    before = np.ones(channels), np.zeros(channels)
    after = np.ones(channels), np.zeros(channels)
    normalization = None
    for step in tensor.steps:
        if step.name == "ensure_dtype":
            if step.options.get("dtype") != "float32":
                raise no_counterpart(f"ensure_dtype with {step.options.get('dtype')}", where)
        elif step.name in _NORMALIZATIONS:
            if normalization is not None:
                raise no_counterpart(f"{step.name} after {normalization.kind}", where)
            if before[1].any():
                raise no_counterpart(f"an offset before {step.name}", where)
            normalization = _normalization(step, where)
        else:
            gain, offset = _linear(step, channels, where)
            if normalization is None:
                before = before[0] * gain, before[1] * gain + offset
            else:
                after = after[0] * gain, after[1] * gain + offset
    if not (after[0] > 0).all():
        raise no_counterpart(f"a gain of {after[0].min():g} after a normalization", where)
    return Arithmetic(
        gain=before[0], offset=before[1], normalization=normalization, gain_after=after[0], offset_after=after[1]
    )


def _linear(step: Step, channels: int, where: Path) -> tuple[_Numbers, _Numbers]:
    options = step.options
    if step.name == "scale_linear":
        gain = _numbers(step, "gain", options.get("gain", 1.0), channels, where)
        return gain, _numbers(step, "offset", options.get("offset", 0.0), channels, where)
    if step.name == "fixed_zero_mean_unit_variance":
        mean = _numbers(step, "mean", options.get("mean"), channels, where)
        deviation = _numbers(step, "std", options.get("std"), channels, where)
        if not (deviation > 0).all():
            raise no_counterpart(f"{step.name} with std {options.get('std')}", where)
        return 1 / deviation, -mean / deviation
    raise no_counterpart(step.name, where)


def _numbers(step: Step, name: str, given: object, channels: int, where: Path) -> _Numbers:
    """Return one number for each channel."""
    several = isinstance(given, (list, tuple))
    along = step.options.get("axis") in {None, "channel"} and not {"c", "channel"} & set(step.options.get("axes") or ())
    try:
        found = np.broadcast_to(np.asarray(given, np.float64), channels)
    except (TypeError, ValueError):
        found = np.full(channels, np.nan)
    if not np.isfinite(found).all() or (several and not along):
        raise no_counterpart(f"{step.name} with {name} {given}", where)
    return found


def _normalization(step: Step, where: Path) -> Normalization:
    options = step.options
    axes = _axes(options.get("axes"))
    by = {frozenset("yx"): "colour", frozenset(("channel", "y", "x")): "image"}.get(axes)
    # Without axes, or with the batch among them, the values of all images of a data set count.
    if by is None or options.get("reference_tensor") is not None:
        over = ", ".join(sorted(axes)) or "every image"
        raise no_counterpart(f"{step.name} over {options.get('reference_tensor') or over}", where)
    try:
        return Normalization(
            kind=cast("Any", step.name),
            low=float(options.get("min_percentile", 0.0)),
            high=float(options.get("max_percentile", 100.0)),
            by=cast("Any", by),
            epsilon=float(options.get("eps", 1e-6)),
        )
    except (TypeError, ValueError) as error:
        raise no_counterpart(f"{step.name} with {dict(options)}", where) from error


def _axes(given: object) -> frozenset[str]:
    named = given if isinstance(given, Iterable) else ()
    return frozenset({"c": "channel", "b": "batch"}.get(str(axis), str(axis)) for axis in named)
