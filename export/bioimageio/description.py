"""Writes the description of a bioimage.io package in its format: https://bioimage.io/docs, version 0.5."""

from __future__ import annotations

import hashlib
import keyword
import re
from dataclasses import dataclass
from typing import Any

import msgspec
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from export.errors import VariantError
from hpa_sdk.fields.planes import MIN_SIDE
from hpa_sdk.labels import HPA_2018, Label
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.onnx_file import OnnxFile, TensorForm
from hpa_sdk.preprocessing import Preprocessing

FORMAT_VERSION = "0.5.3"
"""The oldest version 0.5 with all the fields used here; readers of later versions accept it too."""

README, COVER, MODEL = "README.md", "cover.png", "model.onnx"
"""Names of the documentation, the picture and the weights in the package."""


@dataclass(frozen=True, slots=True)
class TensorFiles:
    """Names of the two files of one tensor: as numbers, and as a picture."""

    test: str
    sample: str


INPUT = TensorFiles("test_input.npy", "sample_input.tif")
OUTPUT = TensorFiles("test_output.npy", "sample_output.tif")

_RGB = ("red", "green", "blue")
COUNTS = {1: "one", 2: "two", 3: "three", 4: "four"}
_LONGEST_NAME = 64
_NOT_IN_IDS = re.compile(r"[^a-z0-9]+")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_+\- ()]")
_DOI = re.compile(r"10\.\d{4,9}/\S+")
_URL = re.compile(r"https?://\S+")


def describe(file: OnnxFile, card: ModelCard, content: bytes, authors: tuple[str, ...]) -> dict[str, Any]:
    """Describe a package.

    Parameters
    ----------
    file : OnnxFile
        The model.
    card : ModelCard
        Its card.
    content : bytes
        The bytes of the model.
    authors : tuple of str
        Names of the model's authors; a slash in a name becomes a hyphen.

    Returns
    -------
    dict
        The content of ``rdf.yaml``.

    Raises
    ------
    VariantError
        The format can't describe the model.
    """
    ((name, form),) = file.inputs.items()
    batch = form.shape[0]
    if isinstance(batch, int) and batch > 1:
        raise VariantError(
            f"the model takes exactly {batch} images at once, for which the format of bioimage.io has no word",
            where=file.path,
            remedy="Package a file with an open batch, or a batch of one.",
        )
    # Programs take the outputs in the order of the file, and the features are not described.
    if next(iter(file.outputs)) != card.tensors.scores:
        raise VariantError(
            f"the scores ({card.tensors.scores}) are not the first output of the model",
            where=file.path,
            remedy="Package a file whose first output they are.",
        )
    licence = spdx_licence(card)
    sha256 = hashlib.sha256(content).hexdigest()
    return {
        "format_version": FORMAT_VERSION,
        "type": "model",
        "name": _NOT_IN_NAMES.sub("_", f"HPA protein localization ({card.name})")[:_LONGEST_NAME],
        "description": f"Says in which of {classes(card)} a protein sits, from"
        f" {COUNTS[len(card.preprocessing.channels)]}-channel fluorescence microscopy in the form of the Human Protein"
        " Atlas.",
        "authors": [{"name": author.replace("/", "-")} for author in authors],
        **({"license": licence} if licence else {}),
        "cite": _cite(card.citation),
        "documentation": README,
        "covers": [COVER],
        "tags": ["fluorescence-light-microscopy", "2d", "cells", "image-classification", "onnx", card.architecture],
        "timestamp": card.created,
        "inputs": [_input(name, form, card)],
        "outputs": [_output(card, file)],
        "weights": {"onnx": {"source": MODEL, "sha256": sha256, "opset_version": file.opset}},
        "config": {
            "hpa": {
                "labels": list(card.labels),
                "thresholds": list(card.thresholds),
                "precision": card.precision,
                **({} if card.variant is None else {"variant": msgspec.to_builtins(card.variant)}),
                "preprocessing": msgspec.to_builtins(card.preprocessing),
                "weights_sha256": card.weights_sha256,
                "licence": card.licence,
                "citation": card.citation,
            }
        },
    }


def classes(card: ModelCard) -> str:
    """Return the number of classes in words."""
    return f"{len(card.labels)} {'organelles' if card.scheme == HPA_2018.name else f'classes ({card.scheme})'}"


def colours(form: Preprocessing) -> tuple[str, ...]:
    """Return the names of the colours of the image: those of the channels if none of them are mixed."""
    shares = [[channel for channel, share in zip(form.channels, row, strict=True) if share] for row in form.blend]
    if all(len(taken) == 1 for taken in shares) and len({taken[0] for taken in shares}) == len(shares):
        return tuple(taken[0] for taken in shares)
    return _RGB if len(form.blend) == len(_RGB) else tuple(f"colour_{at}" for at in range(1, len(form.blend) + 1))


def spdx_licence(card: ModelCard) -> str | None:
    """Return the card's licence if it is in the SPDX list; the format accepts no other."""
    try:
        licence = canonicalize_license_expression(card.licence)
    except InvalidLicenseExpression:
        return None
    return None if " " in licence or licence.startswith("LicenseRef-") else licence


def _cite(citation: str) -> list[dict[str, str]]:
    # The format accepts no citation without one of the two; README.md always has the card's own text.
    for kind, pattern in (("doi", _DOI), ("url", _URL)):
        found = pattern.search(citation)
        if found:
            return [{"text": citation, kind: found[0].rstrip(".,;)")}]
    return []


def _input(name: str, tensor: TensorForm, card: ModelCard) -> dict[str, Any]:
    form = card.preprocessing
    in_graph = form.place == "graph"
    side: int | dict[str, int] = form.size if form.size and not in_graph else {"min": MIN_SIDE, "step": 1}
    axes = [_space("y", side), _space("x", side)]
    channels = _channels(form.channels if in_graph else colours(form))
    axes = [channels, *axes] if in_graph or form.layout == "nchw" else [*axes, channels]
    return {
        "id": _identifier(name),
        "description": "8-bit planes of one field, as the camera gives them; blended and resized in the model"
        if in_graph
        else f"{COUNTS[len(form.channels)]} planes of a field, blended, resized and divided by white: see README.md",
        "axes": [_batch(tensor), *axes],
        "data": {"type": tensor.dtype, "range": [0.0, 255.0] if in_graph else image_range(form)},
        **_shown_by(INPUT),
    }


def image_range(form: Preprocessing) -> list[float | None]:
    """Return the smallest and the largest number that an image can hold; None if they depend on the image."""
    if form.normalization is not None:
        return [None, None]
    none = (0.0,) * len(form.blend)
    low, high = [], []
    for row, mean, deviation in zip(form.blend, form.mean or none, form.deviation or (1.0,) * len(none), strict=True):
        low.append((sum(share for share in row if share < 0) - mean) / deviation)
        high.append((sum(share for share in row if share > 0) - mean) / deviation)
    return [min(low), max(high)]


def _output(card: ModelCard, file: OnnxFile) -> dict[str, Any]:
    tensor = file.outputs[card.tensors.scores]
    logits = card.tensors.scores_are == "logits"
    return {
        "id": _identifier(card.tensors.scores),
        "description": "of each class; independent of each other. config.hpa has the thresholds that make label sets",
        "axes": [_batch(tensor), _channels(_class_names(card))],
        "data": {"type": tensor.dtype, "range": [0.0, 1.0]},
        **({"postprocessing": [{"id": "sigmoid"}]} if logits else {}),
        **_shown_by(OUTPUT),
    }


def _class_names(card: ModelCard) -> tuple[str, ...]:
    if card.scheme == HPA_2018.name:
        return tuple(label.name.lower() for label in Label)
    names = tuple(map(_identifier, card.labels))
    return names if len(set(names)) == len(names) else tuple(f"class_{at}" for at in range(len(names)))


def _identifier(name: str) -> str:
    """Return a name in the form that the format accepts: lower-case letters, digits and underscores."""
    text = _NOT_IN_IDS.sub("_", name.lower()).strip("_")
    return text if text and not text[0].isdigit() and not keyword.iskeyword(text) else f"n_{text}"


def _batch(tensor: TensorForm) -> dict[str, Any]:
    return {"type": "batch", "size": 1} if tensor.shape[0] == 1 else {"type": "batch"}


def _space(name: str, size: int | dict[str, int]) -> dict[str, Any]:
    return {"type": "space", "id": name, "size": size}


def _channels(names: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "channel", "id": "channel", "channel_names": list(names)}


def _shown_by(files: TensorFiles) -> dict[str, Any]:
    return {"test_tensor": {"source": files.test}, "sample_tensor": {"source": files.sample}}
