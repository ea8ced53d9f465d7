"""Reads the description of a bioimage.io package: its tensors, and how they are processed.

The formats are 0.4 and 0.5 of https://bioimage.io/docs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from hpa_sdk.errors import ModelFileError
from hpa_sdk.models.model_package import read_packed_description

AxisName = Literal["batch", "channel", "y", "x"]

_FORMATS = ("0.4", "0.5")
_LETTERS: dict[str, AxisName] = {"b": "batch", "c": "channel", "y": "y", "x": "x"}
_WITHOUT = "Write a card that describes the network in the words of this package, and unpack the .onnx file for it."


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the processing of a tensor.

    Attributes
    ----------
    name : str
        The format's name of it. ``"fixed_zero_mean_unit_variance"`` for both formats.
    options : mapping of str to object
        Its keyword arguments.
    """

    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedTensor:
    """What a description says of a tensor.

    Attributes
    ----------
    name : str
        Its name, which need not be that in the ONNX file.
    axes : tuple of str
        Its dimensions in order.
    sizes : tuple of int or None
        Their lengths. None if a length is open.
    channel_names : tuple of str
        Empty in format 0.4.
    dtype : str
        NumPy's name of the element type, before the processing.
    range : tuple of float
        Smallest and largest value, before the processing for an input; infinite if not stated.
    steps : tuple of Step
        The processing: before the network for an input, after it for an output.
    test : str
        Name of the file with the test tensor. Empty if there is none.
    """

    name: str
    axes: tuple[AxisName, ...]
    sizes: tuple[int | None, ...]
    channel_names: tuple[str, ...]
    dtype: str
    range: tuple[float, float]
    steps: tuple[Step, ...]
    test: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageDescription:
    """The description of a package with one input.

    Attributes
    ----------
    where : pathlib.Path
        The package, for messages.
    name, licence, citation : str
        As it states them. Can be empty.
    input : DescribedTensor
        The image.
    outputs : tuple of DescribedTensor
        In the order of the ONNX file.
    """

    where: Path
    name: str
    licence: str
    citation: str
    input: DescribedTensor
    outputs: tuple[DescribedTensor, ...]


class _Step(msgspec.Struct):
    id: str = ""
    name: str = ""
    kwargs: dict[str, Any] | None = None


class _Axis(msgspec.Struct):
    type: str
    id: str = ""
    size: Any = None
    channel_names: list[str] = []


class _Data(msgspec.Struct):
    type: str = "float32"
    range: tuple[float | None, float | None] = (None, None)


class _File(msgspec.Struct):
    source: str


class _Tensor(msgspec.Struct):
    axes: str | list[_Axis]
    id: str = ""
    name: str = ""
    data: _Data | list[_Data] = msgspec.field(default_factory=_Data)
    data_type: str = "float32"
    data_range: tuple[float | None, float | None] | None = None
    shape: Any = None
    preprocessing: list[_Step] | None = None
    postprocessing: list[_Step] | None = None
    test_tensor: _File | None = None


class _Weights(msgspec.Struct):
    onnx: _File | None = None


class _Cite(msgspec.Struct):
    text: str = ""
    doi: str | None = None


class _Description(msgspec.Struct):
    format_version: str
    inputs: list[_Tensor]
    outputs: list[_Tensor]
    weights: _Weights
    name: str = ""
    license: str | None = None
    cite: list[_Cite] = []
    test_inputs: list[str] = []
    test_outputs: list[str] = []


def read_description(path: Path) -> PackageDescription | None:
    """Read the description of a package.

    Returns
    -------
    PackageDescription or None
        None if the file is not a package, or has no description.

    Raises
    ------
    ModelFileError
        The description can't be read or used, or says something that has no counterpart here. The message names it.
    """
    with path.open("rb") as file:
        text = read_packed_description(file, path)
    return None if text is None else parse_description(text, path)


def parse_description(text: bytes, where: Path) -> PackageDescription:
    """Parse the YAML text of a description, as `read_description` does."""
    try:
        found = msgspec.yaml.decode(text, type=_Description)
    except ImportError as error:
        raise ModelFileError(
            "the package has a description, and PyYAML, which reads it, is not installed",
            where=where,
            remedy="Install it: pip install 'hpa-sdk[packages]'.",
        ) from error
    except (ValueError, RecursionError, AttributeError) as error:
        raise ModelFileError(
            f"the description of the package can't be used ({' '.join(str(error).split())})",
            where=where,
            remedy="Get the package again, or unpack the .onnx file and write a card for it.",
        ) from error
    version = ".".join(found.format_version.split(".")[:2])
    if version not in _FORMATS:
        raise no_counterpart(f"the format version {found.format_version}", where, f"read are {', '.join(_FORMATS)}")
    if found.weights.onnx is None:
        raise no_counterpart("weights that are no ONNX file", where)
    if len(found.inputs) != 1:
        raise no_counterpart(f"{len(found.inputs)} inputs", where, "one image is expected")
    (taken,) = _tensors(found.inputs, found.test_inputs, where)
    cited = found.cite[0] if found.cite else _Cite()
    return PackageDescription(
        where=where,
        name=found.name,
        licence=found.license or "",
        citation=f"doi:{cited.doi}" if cited.doi else cited.text,
        input=taken,
        outputs=_tensors(found.outputs, found.test_outputs, where),
    )


def no_counterpart(what: str, where: Path, expected: str = "which has no counterpart here") -> ModelFileError:
    """Make the error for a part of a description that can't be followed."""
    return ModelFileError(f"the package's description asks for {what}; {expected}", where=where, remedy=_WITHOUT)


def _tensors(given: Sequence[_Tensor], tests: Sequence[str], where: Path) -> tuple[DescribedTensor, ...]:
    files = [*tests, *[""] * (len(given) - len(tests))]
    return tuple(_tensor(tensor, test, where) for tensor, test in zip(given, files, strict=False))


def _tensor(given: _Tensor, test: str, where: Path) -> DescribedTensor:
    if isinstance(given.axes, str):
        axes = tuple(_axis(letter, _LETTERS.get(letter), where) for letter in given.axes)
        lengths = given.shape if isinstance(given.shape, list) else [None] * len(axes)
        names: tuple[str, ...] = ()
        dtype, limits = given.data_type, given.data_range or (None, None)
    else:
        axes = tuple(_axis(axis.id or axis.type, _kind(axis), where) for axis in given.axes)
        lengths = [axis.size for axis in given.axes]
        names = tuple(name for axis in given.axes for name in axis.channel_names)
        lengths = [
            len(names) or None if axis == "channel" else length for axis, length in zip(axes, lengths, strict=True)
        ]
        parts = given.data if isinstance(given.data, list) else [given.data]
        ranges = {part.range for part in parts}
        dtype, limits = parts[0].type, ranges.pop() if len(ranges) == 1 else (None, None)
    if len(set(axes)) < len(axes) or len(lengths) != len(axes):
        raise no_counterpart(f"the axes {', '.join(axes)} of shape {lengths}", where)
    steps = [*(given.preprocessing or ()), *(given.postprocessing or ())]
    low, high = limits
    return DescribedTensor(
        name=given.id or given.name,
        axes=axes,
        sizes=tuple(length if isinstance(length, int) else None for length in lengths),
        channel_names=names,
        dtype=dtype,
        range=(-math.inf if low is None else low, math.inf if high is None else high),
        steps=tuple(_step(step, where) for step in steps),
        test=given.test_tensor.source if given.test_tensor else test,
    )


def _kind(axis: _Axis) -> AxisName | None:
    if axis.type == "space":
        return _LETTERS.get(axis.id)
    return next((name for name in _LETTERS.values() if name == axis.type), None)


def _axis(name: str, found: AxisName | None, where: Path) -> AxisName:
    if found is None:
        raise no_counterpart(f"the axis {name}", where)
    return found


def _step(given: _Step, where: Path) -> Step:
    options = dict(given.kwargs or {})
    name, mode = given.id or given.name, options.pop("mode", None)
    if mode == "fixed":
        name = f"fixed_{name}"
    elif mode not in {None, "per_sample"}:
        raise no_counterpart(f"{name} with the mode {mode}", where)
    elif given.name == "zero_mean_unit_variance" and mode is None:
        name = f"fixed_{name}"  # the default of format 0.4
    return Step(name, options)
