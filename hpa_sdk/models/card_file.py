"""Reads and writes model cards as TOML files, by which people describe networks from elsewhere."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from hpa_sdk.errors import ModelCardError, ModelFileError
from hpa_sdk.labels import SCHEMES
from hpa_sdk.models.model_card import NOT_STATED, ModelCard, Training
from hpa_sdk.models.network_form import LARGEST_IMAGE, CellCrop, Tensors
from hpa_sdk.models.onnx_file import OnnxFile
from hpa_sdk.models.package_card import card_keys
from hpa_sdk.preprocessing import ChannelName, Normalization, Preprocessing

LARGEST_FILE = 2**20
"""Largest size of a card file in bytes."""

_COMPLETE_IT = "Complete the card: 'hpa card init' writes one with an explanation of each key."
_IMAGE = 4  # dimensions of a batch of images
_MOST_CHANNELS = 4
_WHITE = Preprocessing().scale


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a card file. An unknown key is an error."""


class _Normalization(_Table, frozen=True, kw_only=True):
    kind: Literal["scale_range", "zero_mean_unit_variance"]
    by: Literal["colour", "image"]
    low: float = 0.0
    high: float = 100.0
    epsilon: float = 1e-6


class _Preprocessing(_Table, frozen=True, kw_only=True):
    # What changes every answer has no default: a wrong guess would not be noticed.
    channels: tuple[ChannelName, ...]
    size: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_IMAGE)]
    layout: Literal["nhwc", "nchw"]
    scale: Annotated[float, msgspec.Meta(gt=0)]
    blend: tuple[tuple[float, ...], ...] | None = None
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    normalization: _Normalization | None = None


class _Tensors(_Table, frozen=True, kw_only=True):
    input: str
    scores: str
    scores_are: Literal["probabilities", "logits"]
    embedding: str = ""


class _Cell(_Table, frozen=True, kw_only=True):
    margin: int
    masked: bool


class _Training(_Table, frozen=True, kw_only=True):
    data: str = NOT_STATED
    pixel_size: float | None = None
    field_side: int | None = None


class _Card(_Table, frozen=True, kw_only=True):
    name: str
    scheme: str
    thresholds: float | tuple[float, ...]
    preprocessing: _Preprocessing
    tensors: _Tensors
    architecture: str = NOT_STATED
    labels: tuple[str, ...] = ()
    unit: Literal["field", "cell", "pixel"] = "field"
    cell: _Cell | None = None
    training: _Training = _Training()
    licence: str = NOT_STATED
    citation: str = NOT_STATED
    warning: str = ""


def read_card_file(path: Path) -> ModelCard:
    """Read a card from a TOML file.

    Raises
    ------
    ModelCardError
        The file can't be read, one of its keys is unknown, missing or has a value that can't be used. The message names
        it.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ModelCardError("the file is too large for a model card", where=path, remedy=_COMPLETE_IT)
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ModelCardError(
            f"the model card can't be read ({error.strerror})", where=path, remedy="Check its path."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelCardError(f"the model card is not TOML ({error})", where=path, remedy=_COMPLETE_IT) from error
    return card_from_table(table, where=str(path))


def card_from_table(table: Mapping[str, Any], *, where: str) -> ModelCard:
    """Make a card from the content of a TOML file, or of an entry of a catalogue.

    Parameters
    ----------
    table : mapping of str to object
        The keys that `card_template` explains.
    where : str
        Where it comes from, for messages.

    Raises
    ------
    ModelCardError
        A key is unknown, missing or has a value that can't be used. The message names it.
    """
    try:
        given = msgspec.convert(dict(table), _Card)
    except (ValueError, RecursionError) as error:
        raise ModelCardError(f"the model card can't be used: {error}", where=where, remedy=_COMPLETE_IT) from error
    form = given.preprocessing
    scheme = SCHEMES.get(given.scheme)
    labels = given.labels or (scheme.names if scheme else ())
    if not labels:
        raise ModelCardError(
            f"the label scheme {given.scheme!r} is unknown, and the model card does not name its labels",
            where=where,
            remedy=f"Use one of {', '.join(SCHEMES)}, or list the labels in the order of the network's outputs.",
        )
    own_values = form.normalization
    channels = range(len(form.channels))
    blend = form.blend or tuple(tuple(float(row == column) for column in channels) for row in channels)
    card = ModelCard(
        name=given.name,
        architecture=given.architecture,
        training=Training(**msgspec.structs.asdict(given.training)),
        labels=labels,
        thresholds=given.thresholds if isinstance(given.thresholds, tuple) else (given.thresholds,) * len(labels),
        preprocessing=Preprocessing(
            channels=form.channels,
            # White becomes 1, or more for a network that takes grey levels as they are: at any bit depth.
            blend=tuple(tuple(share * _WHITE / form.scale for share in row) for row in blend),
            size=form.size or None,
            layout=form.layout,
            mean=form.mean,
            deviation=form.deviation,
            normalization=None if own_values is None else Normalization(**msgspec.structs.asdict(own_values)),
        ),
        licence=given.licence,
        citation=given.citation,
        scheme=given.scheme,
        tensors=Tensors(
            input=given.tensors.input,
            scores=given.tensors.scores,
            embedding=given.tensors.embedding or None,
            scores_are=given.tensors.scores_are,
        ),
        unit=given.unit,
        cell=None if given.cell is None else CellCrop(margin=given.cell.margin, masked=given.cell.masked),
        warning=given.warning,
    )
    card.check(where)
    return replace(card, schema_version="2.0")


def as_card(card: ModelCard | str | os.PathLike[str] | None) -> ModelCard | None:
    """Return a card that is given as such, or as a file.

    Raises
    ------
    ModelCardError
        As for `read_card_file`.
    """
    return read_card_file(Path(card)) if isinstance(card, (str, os.PathLike)) else card


def card_template(file: OnnxFile) -> str:
    """Write a card file for a model, as far as the file, and the description of a package, show what belongs into it.

    Keys that only a person knows are empty, and such a card is refused.

    Parameters
    ----------
    file : OnnxFile
        A model with one input, an image, and scores of classes among its outputs.

    Raises
    ------
    ModelFileError
        The model has several inputs, or its input is not a batch of images; or the description of the package has no
        counterpart here.
    """
    if len(file.inputs) != 1:
        raise ModelFileError(
            f"the model has {len(file.inputs)} inputs ({', '.join(file.inputs)}), and one image is expected",
            where=file.path,
            remedy="Only networks that answer from one image can be used.",
        )
    ((name, form),) = file.inputs.items()
    if len(form.shape) != _IMAGE or form.dtype != "float32":
        raise ModelFileError(
            f"the model's input {name} is {form}, not a batch of images (float32, four dimensions)",
            where=file.path,
            remedy="Only networks that answer from one image can be used.",
        )
    first, last = form.shape[1], form.shape[3]
    nchw = not (isinstance(last, int) and last <= _MOST_CHANNELS)
    colours, side = (first, form.shape[2]) if nchw else (last, first)
    flat = {output: found for output, found in file.outputs.items() if len(found.shape) > 1}
    scores = min(flat, key=lambda output: _width(flat[output].shape), default=next(iter(file.outputs), ""))
    width = _width(file.outputs[scores].shape) if scores in file.outputs else 0
    embedding = max(
        (output for output in flat if output != scores), key=lambda output: _width(flat[output].shape), default=""
    )
    schemes = [scheme.name for scheme in SCHEMES.values() if len(scheme) == width]
    known = card_keys(file)
    open_size = "" if "size" in known or isinstance(side, int) else " The file leaves it open: complete it."
    return _TEMPLATE.format(
        name=known.get("name") or _quoted(file.path.stem),
        licence=known.get("licence") or _quoted(NOT_STATED),
        citation=known.get("citation") or _quoted(NOT_STATED),
        inputs="; ".join(f"{output} {found}" for output, found in file.inputs.items()),
        outputs="; ".join(f"{output} {found}" for output, found in file.outputs.items()),
        classes=width or "an unknown number of",
        schemes=f" The published scheme of this many is {', '.join(schemes)}." if schemes else "",
        colours=colours if isinstance(colours, int) else "an unknown number of",
        channels=known.get("channels") or ('["red", "green", "blue", "yellow"]' if colours == _MOST_CHANNELS else "[]"),
        size=known.get("size") or (side if isinstance(side, int) else -1),
        open_size=open_size,
        layout=known.get("layout") or _quoted("nchw" if nchw else "nhwc"),
        scaling=known.get("scaling") or "scale = 0",
        input=_quoted(name),
        scores=_quoted(scores),
        embedding=_quoted(embedding),
    )


def _width(shape: tuple[int | str, ...]) -> int:
    return next((length for length in reversed(shape) if isinstance(length, int) and length > 1), 0)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()  # JSON's strings are TOML's basic strings


_TEMPLATE = """\
# The model card of an ONNX file from elsewhere. Complete the empty keys: the file does not show them.
# The file's inputs: {inputs}
# The file's outputs: {outputs}

name = {name}
# The network, for people to read, such as "densenet121".
architecture = "not stated"

# The classes, in the order of the scores. The file gives {classes} scores.{schemes}
# hpa-2018 (28 classes), hpa-2021 (19), subcell-2024 (31), or a name of your own together with: labels = ["...", ...]
scheme = ""
# From this probability on a class counts as present: one number, or a list with one for each class.
thresholds = 0.5

# "field" for whole fields of view, "cell" for crops of single cells, "pixel" for maps that show cells.
# For "cell" add the table [cell] at the end.
unit = "field"

licence = {licence}
citation = {citation}
# What the model must not be used for.
warning = ""

[preprocessing]
# The planes that the network takes, in its order. Its image has {colours} colours.
# red: microtubules, green: the protein, blue: nucleus, yellow: endoplasmic reticulum.
channels = {channels}
# Height and width in pixels to which planes are resized (bilinear, without smoothing). 0: as they come.{open_size}
size = {size}
layout = {layout}
# The grey level of 8-bit planes that becomes 1 in the image: 255 for an image from 0 to 1, 1 for one from 0 to 255.
{scaling}
# If colours are mixed from planes, a row for each colour with a share for each plane:
# blend = [[0.5, 0, 0, 0.5], [0, 0.5, 0, 0.5], [0, 0, 0.5, 0]]
# If the training subtracted a mean and divided by a deviation after that, one number for each colour:
# mean = [0.485, 0.456, 0.406]
# deviation = [0.229, 0.224, 0.225]
# If each image is normalized by its own values, between the scaling and the mean: percentiles become 0 and 1 (kind
# "scale_range"), or the mean 0 and the deviation 1 ("zero_mean_unit_variance"), by "colour" or by "image":
# normalization = {{ kind = "scale_range", by = "image", low = 0, high = 100 }}

[tensors]
input = {input}
# One score for each class.
scores = {scores}
# "probabilities", or "logits" if the file does not apply the sigmoid.
scores_are = ""
# The features before the last layer; "" if the file does not give them.
embedding = {embedding}

[training]
data = "not stated"
# Micrometres per pixel of the training planes, and their height and width in pixels, if known: fields of another
# microscope are then rescaled.
# pixel_size = 0.08
# field_side = 2048

# [cell]
# margin = 20     # pixels around the box of the cell
# masked = true   # everything outside the cell is black
"""
