"""Compares the description of a bioimage.io package with a model card, and says what of a card it gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import ModelCardError
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.network_form import CHANNELS
from hpa_sdk.models.onnx_file import OnnxFile
from hpa_sdk.models.package_arithmetic import Arithmetic, arithmetic_of
from hpa_sdk.models.package_description import DescribedTensor, PackageDescription, no_counterpart, read_description
from hpa_sdk.preprocessing import Normalization, Preprocessing

_Numbers = npt.NDArray[np.float64]
_WHITE = Preprocessing().scale
_TOPS = (1.0, 255.0, 65535.0)
_TOP_OF_TYPE = {"uint8": 255.0, "uint16": 65535.0}
_NEAR = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedForm:
    """What a description gives of a card. None where it leaves a value open.

    Attributes
    ----------
    layout : str
        ``"nhwc"`` or ``"nchw"``.
    size : int or None
        Side of the image.
    channels : int
        Number of colours.
    arithmetic : Arithmetic
        From the values of the described input to the image.
    top : float or None
        The value of the described input that is white.
    """

    layout: Literal["nhwc", "nchw"]
    size: int | None
    channels: int
    arithmetic: Arithmetic
    top: float | None


def form_of(description: PackageDescription, file: OnnxFile) -> DescribedForm:
    """Return what a description gives of the preprocessing.

    Raises
    ------
    ModelFileError
        Its axes or its processing have no counterpart, or do not fit the file.
    """
    taken, where = description.input, description.where
    layouts: dict[tuple[str, ...], Literal["nhwc", "nchw"]] = {
        ("batch", "channel", "y", "x"): "nchw",
        ("batch", "y", "x", "channel"): "nhwc",
    }
    layout = layouts.get(taken.axes)
    ((_, form),) = file.inputs.items()
    if len(description.outputs) > len(file.outputs):
        raise no_counterpart(f"{len(description.outputs)} outputs", where, f"the model has {len(file.outputs)}")
    if layout is None or len(form.shape) != len(taken.axes):
        raise no_counterpart(f"an input with the axes {', '.join(taken.axes)}", where, f"the model takes {form}")
    sizes = dict(zip(taken.axes, taken.sizes, strict=True))
    in_file = dict(zip(taken.axes, form.shape, strict=True))
    channels = sizes["channel"] or in_file["channel"]
    if sizes["y"] != sizes["x"] or not isinstance(channels, int):
        raise no_counterpart(f"images of {sizes['x']} x {sizes['y']} pixels and {channels} channels", where)
    return DescribedForm(
        layout=layout,
        size=sizes["y"],
        channels=channels,
        arithmetic=arithmetic_of(taken, channels, where),
        top=_top(taken),
    )


def scores_are(output: DescribedTensor, description: PackageDescription) -> Literal["probabilities", "logits"] | None:
    """Return what an output holds before its processing; None if the description leaves it open.

    Raises
    ------
    ModelFileError
        Its processing has no counterpart.
    """
    names = [step.name for step in output.steps if step.name != "ensure_dtype"]
    if names not in ([], ["sigmoid"]):
        raise no_counterpart(
            f"{names[0] if names[0] != 'sigmoid' else names[1]} for the output {output.name}", description.where
        )
    if names:
        return "logits"
    return "probabilities" if output.range == (0.0, 1.0) else None


def card_keys(file: OnnxFile) -> dict[str, str]:
    """Return the keys of a card file that the description of a package gives, as TOML values.

    Parameters
    ----------
    file : OnnxFile
        The ONNX file of the package, with the path of the package.

    Returns
    -------
    dict of str to str
        By key: ``name``, ``licence``, ``citation``, and of the table of the preprocessing ``layout``, ``size``,
        ``channels``, and ``scaling``: the lines with scale, blend, normalization, mean and deviation. Without what it
        leaves open. Empty for a file that is no package, or has no description.

    Raises
    ------
    ModelFileError
        The description has no counterpart, or does not fit the file.
    """
    description = read_description(file.path)
    if description is None:
        return {}
    form = form_of(description, file)
    texts = {"name": description.name, "licence": description.licence, "citation": description.citation}
    keys = {key: _toml(text) for key, text in texts.items() if text} | {"layout": _toml(form.layout)}
    if form.size is not None:
        keys["size"] = str(form.size)
    names = description.input.channel_names
    if names and set(names) <= set(CHANNELS):
        keys["channels"] = _toml(list(names))
    return keys | {"scaling": "\n".join(_scaling(form))}


def _scaling(form: DescribedForm) -> Iterator[str]:
    given = form.arithmetic
    normalization = given.normalization
    if form.top is None and normalization is None:
        yield f"# The package multiplies by {_row(given.gain)}, adds {_row(given.offset)}, and does not say which"
        yield "# value is white: complete it. For grey levels of 8-bit planes, divide 1 by the first number."
        yield "scale = 0"
        return
    gain, mean, deviation = given.gain * (form.top or 1), -given.offset, np.ones(form.channels)
    if normalization is not None:
        mean, deviation = -given.offset_after / given.gain_after, 1 / given.gain_after
    if gain[0] > 0 and (gain == gain[0]).all():
        yield f"scale = {_WHITE / gain[0]:.9g}"
    else:
        yield f"scale = {_WHITE:g}"
        yield f"blend = {_toml(np.diag(gain).tolist())}"
    if normalization is not None:
        pairs = (f"{key} = {_toml(value)}" for key, value in msgspec.to_builtins(normalization).items())
        yield f"normalization = {{ {', '.join(pairs)} }}"
    if mean.any():
        yield f"mean = {_toml(mean.tolist())}"
    if (deviation != 1).any():
        yield f"deviation = {_toml(deviation.tolist())}"


def check_description(card: ModelCard, description: PackageDescription, file: OnnxFile) -> None:
    """Refuse a card that contradicts the description of its package.

    Raises
    ------
    ModelCardError
        It does. The message says in what.
    ModelFileError
        The description has no counterpart, or does not fit the file.
    """
    wrong = next(_contradictions(card, description, file), None)
    if wrong is not None:
        raise ModelCardError(
            f"the model card {wrong}",
            where=description.where,
            remedy="Correct the card: 'hpa card init' writes one with what the package says.",
        )


def _contradictions(card: ModelCard, description: PackageDescription, file: OnnxFile) -> Iterator[str]:
    form, own = form_of(description, file), card.preprocessing
    if own.layout != form.layout:
        yield f"gives the layout {own.layout}, and the package {form.layout}"
    if form.size is not None and own.size != form.size:
        yield f"gives the size {own.size or 'as it comes'}, and the package {form.size}"
    if len(own.blend) != form.channels:
        yield f"makes images of {len(own.blend)} colours, and the package takes {form.channels}"
    if _kind(own.normalization) != _kind(form.arithmetic.normalization):
        yield (f"normalizes by {_words(own.normalization)}, and the package by {_words(form.arithmetic.normalization)}")
    if not _same_weights(own, form.arithmetic):
        yield "weighs the planes in another way than the package, before an image is normalized"
    # Colours that are mixed of several planes need not reach white.
    if all(sum(map(bool, row)) == 1 for row in own.blend):
        found = _ends(own)
        tops = _TOPS if form.top is None else (form.top,)
        expected = [_ends_of(form.arithmetic, top) for top in tops]
        if not any(np.allclose(found, ends, rtol=_NEAR, atol=_NEAR * np.abs(ends).max()) for ends in expected):
            yield (
                f"makes {_row(found[0])} of black planes and {_row(found[1])} of white ones, and the package"
                f" {_row(expected[0][0])} and {_row(expected[0][1])}"
            )
    for name, output in zip(file.outputs, description.outputs, strict=False):
        said = scores_are(output, description) if name == card.tensors.scores else None
        if said not in {None, card.tensors.scores_are}:
            yield f"says that the scores are {card.tensors.scores_are}, and the package that they are {said}"


def _same_weights(own: Preprocessing, arithmetic: Arithmetic) -> bool:
    """Whether colours that are normalized together have the same proportions."""
    if arithmetic.normalization is None or arithmetic.normalization.by == "colour":
        return True
    weights = np.asarray(own.blend).sum(axis=1)
    return np.allclose(weights / weights[0], arithmetic.gain / arithmetic.gain[0], rtol=_NEAR)


def _ends(form: Preprocessing) -> tuple[_Numbers, _Numbers]:
    """Return what black and white planes become; with a normalization, what it makes of 0 and 1, and the blend."""
    none = np.zeros(len(form.blend))
    mean = none if form.mean is None else np.asarray(form.mean)
    deviation = none + 1 if form.deviation is None else np.asarray(form.deviation)
    blend = np.asarray(form.blend).sum(axis=1)
    return -mean / deviation, ((blend if form.normalization is None else none + 1) - mean) / deviation


def _ends_of(arithmetic: Arithmetic, top: float) -> tuple[_Numbers, _Numbers]:
    if arithmetic.normalization is not None:
        return arithmetic.offset_after, arithmetic.gain_after + arithmetic.offset_after
    return arithmetic.offset, arithmetic.gain * top + arithmetic.offset


def _kind(given: Normalization | None) -> tuple[object, ...]:
    return () if given is None else (given.kind, given.by, given.low, given.high)


def _words(given: Normalization | None) -> str:
    if given is None:
        return "nothing"
    percentiles = f", percentiles {given.low:g} to {given.high:g}" if given.kind == "scale_range" else ""
    return f"{given.kind} over each {given.by}{percentiles}"


def _toml(value: object) -> str:
    return msgspec.json.encode(value).decode()  # JSON's strings, numbers and lists are TOML's


def _row(numbers: _Numbers) -> str:
    return "/".join(f"{number + 0.0:.4g}" for number in numbers)  # 0 is never -0


def _top(taken: DescribedTensor) -> float | None:
    low, high = taken.range
    if low == 0 and high in _TOPS:
        return high
    return _TOP_OF_TYPE.get(taken.dtype)
