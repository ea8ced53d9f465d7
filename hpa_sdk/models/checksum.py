"""Checks that a model file is unchanged since its export."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hpa_sdk.errors import ModelFileError
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.onnx_file import graph_sha256

CHECKSUM_KEY = "hpa_file_sha256"
"""Key of the checksum, the last entry of the file's ``metadata_props``."""

# One entry of metadata_props in wire format: field 14, its length, then the key and the 64 digits with their lengths.
_DIGITS = 64
_START = bytes(
    [0x72, 2 + len(CHECKSUM_KEY) + 2 + _DIGITS, 0x0A, len(CHECKSUM_KEY), *CHECKSUM_KEY.encode(), 0x12, _DIGITS]
)
_EXPORT_AGAIN = "Get the file again from where it was made, or export it again."


def add_checksum(model: bytes) -> bytes:
    """Append the SHA-256 of a whole serialized model to it, as an entry of ``metadata_props``.

    In protobuf, appending an encoded entry to a message adds the entry, so no earlier byte changes.

    Parameters
    ----------
    model : bytes
        The serialized model with its card, without a checksum.

    Returns
    -------
    bytes
        The same model with the metadata entry `CHECKSUM_KEY`.
    """
    return model + _START + hashlib.sha256(model).hexdigest().encode()


def checksum_matches(model: memoryview) -> bool | None:
    """Whether every byte of a file matches its checksum.

    Parameters
    ----------
    model : memoryview
        The whole file.

    Returns
    -------
    bool or None
        None if it has no checksum.
    """
    content, start, digits = model[: -len(_START) - _DIGITS], model[-len(_START) - _DIGITS : -_DIGITS], model[-_DIGITS:]
    if start != _START:
        return None
    return hashlib.sha256(content).hexdigest().encode() == digits


def check_checksum(model: memoryview, where: Path) -> None:
    """Refuse a file that was changed since its export.

    The checksum detects damage and accidental edits. It does not protect against deliberate forgery.

    Raises
    ------
    ModelFileError
        A byte of the file was changed, or the file has no checksum.
    """
    holds = checksum_matches(model)
    if holds is None:
        raise ModelFileError(
            "the file can't be verified: it does not end in its own SHA-256",
            where=where,
            remedy=f"It is older than this check, or was saved by another program. {_EXPORT_AGAIN}",
        )
    if not holds:
        raise ModelFileError("the file was altered after it was exported", where=where, remedy=_EXPORT_AGAIN)


def weights_match(model: memoryview, card: ModelCard) -> bool | None:
    """Whether a file's graph, with its weights, is the one that its card describes.

    Parameters
    ----------
    model : memoryview
        The whole file.
    card : ModelCard
        The card with the SHA-256 of the graph.

    Returns
    -------
    bool or None
        None if the card has no SHA-256.
    """
    return graph_sha256(model) == card.weights_sha256 if card.weights_sha256 else None


def check_weights(model: memoryview, card: ModelCard, where: Path) -> None:
    """Refuse a file if its graph, with its weights, is not the one that the card describes.

    Raises
    ------
    ModelFileError
        It is a different graph.
    """
    if weights_match(model, card) is False:
        raise ModelFileError(
            "the weights or operators are not those that the model card was written for",
            where=where,
            remedy=_EXPORT_AGAIN,
        )
