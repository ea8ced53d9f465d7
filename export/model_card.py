"""Writes a card into a model, checks the model, and adds the checksum."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import onnx

from export.errors import ConversionError
from hpa_sdk.models.checksum import add_checksum
from hpa_sdk.models.model_card import METADATA_KEY, ModelCard
from hpa_sdk.models.onnx_file import graph_sha256


def card_for(serialized: bytes, card: ModelCard, **changes: Any) -> ModelCard:  # noqa: ANN401
    """Return a card with the hash of its graph, today's date, and other changes.

    Parameters
    ----------
    serialized : bytes
        The model, without a card.
    card : ModelCard
        The card so far.
    **changes : optional
        New values of other attributes.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return replace(card, created=created, weights_sha256=graph_sha256(serialized), **changes)


def embed_card(model: onnx.ModelProto, card: ModelCard) -> bytes:
    """Write a card into a model, run the full check, and serialize the model.

    Parameters
    ----------
    model : onnx.ModelProto
        A model of the contract; it is changed.
    card : ModelCard
        Its card.

    Returns
    -------
    bytes
        The file, with the checksum that ``Predictor.load(..., verify=True)`` checks.

    Raises
    ------
    ConversionError
        The model is not a valid ONNX model.
    """
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(
            f"the converted graph is no valid ONNX model ({error})", remedy="Use the versions in constraints.txt."
        ) from error
    return add_checksum(model.SerializeToString(deterministic=True))
