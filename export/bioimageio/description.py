"""Writes the description of a bioimage.io package in its format: https://bioimage.io/docs, version 0.5."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import msgspec
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from hpa_sdk.fields.planes import MIN_SIDE
from hpa_sdk.labels import Label
from hpa_sdk.models.contract import image_shape
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.onnx_file import OnnxFile, TensorForm

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

_LONGEST_NAME = 64
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
    """
    ((name, form),) = file.inputs.items()
    licence = spdx_licence(card)
    sha256 = hashlib.sha256(content).hexdigest()
    return {
        "format_version": FORMAT_VERSION,
        "type": "model",
        "name": _NOT_IN_NAMES.sub("_", f"HPA protein localization ({card.name})")[:_LONGEST_NAME],
        "description": f"Says in which of {len(Label)} organelles a protein sits, from four-channel fluorescence"
        " microscopy in the form of the Human Protein Atlas.",
        "authors": [{"name": author.replace("/", "-")} for author in authors],
        **({"license": licence} if licence else {}),
        "cite": _cite(card.citation),
        "documentation": README,
        "covers": [COVER],
        "tags": ["fluorescence-light-microscopy", "2d", "cells", "image-classification", "onnx", card.architecture],
        "timestamp": card.created,
        "inputs": [_input(name, form, card)],
        "outputs": [_output(file.outputs["probabilities"])],
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


def _input(name: str, form: TensorForm, card: ModelCard) -> dict[str, Any]:
    if card.preprocessing.place == "graph":
        side: int | dict[str, int] = {"min": MIN_SIDE, "step": 1}
        axes = [_channels(card.preprocessing.channels), _space("y", side), _space("x", side)]
        text, brightest = "8-bit planes of one field, as the camera gives them; blended and resized in the model", 255.0
    else:
        side = image_shape(card.preprocessing)[0]
        axes = [_space("y", side), _space("x", side), _channels(("red", "green", "blue"))]
        text, brightest = "four planes of a field, blended, resized and divided by white: see README.md", 1.0
    return {
        "id": name,
        "description": text,
        "axes": [{"type": "batch"}, *axes],
        "data": {"type": form.dtype, "range": [0.0, brightest]},
        **_shown_by(INPUT),
    }


def _output(form: TensorForm) -> dict[str, Any]:
    return {
        "id": "probabilities",
        "description": "of each class; independent of each other. config.hpa has the thresholds that make label sets",
        "axes": [{"type": "batch"}, _channels(tuple(label.name.lower() for label in Label))],
        "data": {"type": form.dtype, "range": [0.0, 1.0]},
        **_shown_by(OUTPUT),
    }


def _space(name: str, size: int | dict[str, int]) -> dict[str, Any]:
    return {"type": "space", "id": name, "size": size}


def _channels(names: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "channel", "id": "channel", "channel_names": list(names)}


def _shown_by(files: TensorFiles) -> dict[str, Any]:
    return {"test_tensor": {"source": files.test}, "sample_tensor": {"source": files.sample}}
