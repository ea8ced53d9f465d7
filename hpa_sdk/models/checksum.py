"""Lets a model file prove that it is as it was exported."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hpa_sdk.errors import ModelFileError
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.onnx_file import graph_sha256

CHECKSUM_KEY = "hpa_file_sha256"
"""Key of the checksum, the last entry of the file's ``metadata_props``."""

# One entry of metadata_props on the wire: field 14, its length, then the key and the 64 digits with theirs.
_DIGITS = 64
_START = bytes(
    [0x72, 2 + len(CHECKSUM_KEY) + 2 + _DIGITS, 0x0A, len(CHECKSUM_KEY), *CHECKSUM_KEY.encode(), 0x12, _DIGITS]
)
_EXPORT_AGAIN = "Get the file again from where it was made, or export it again."


def add_checksum(model: bytes) -> bytes:
    """Add the SHA-256 of a whole serialized model to its end, as an entry of ``metadata_props``.

    A protobuf message with an entry behind it is the message that has the entry, so no byte before it changes.

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
    """Say whether a file is as its checksum says, byte by byte.

    Parameters
    ----------
    model : memoryview
        The whole file.

    Returns
    -------
    bool or None
        None where it has no checksum.
    """
    content, start, digits = model[: -len(_START) - _DIGITS], model[-len(_START) - _DIGITS : -_DIGITS], model[-_DIGITS:]
    if start != _START:
        return None
    return hashlib.sha256(content).hexdigest().encode() == digits


def check_checksum(model: memoryview, where: Path) -> None:
    """Refuse a file that is not as it was exported.

    This finds damage and careless edits. It does not find a forger, who can compute the checksum again.

    Raises
    ------
    ModelFileError
        A byte of the file was changed, or it has no checksum to check it by.
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
    """Say whether a file's graph, with its weights, is the one that a card was written for.

    Parameters
    ----------
    model : memoryview
        The whole file.
    card : ModelCard
        Names the graph's SHA-256.

    Returns
    -------
    bool or None
        None where the card names none.
    """
    return graph_sha256(model) == card.weights_sha256 if card.weights_sha256 else None


def check_weights(model: memoryview, card: ModelCard, where: Path) -> None:
    """Refuse a file whose graph, with its weights, is not the one that the card was written for.

    Raises
    ------
    ModelFileError
        It is another graph.
    """
    if weights_match(model, card) is False:
        raise ModelFileError(
            "the weights or operators are not those that the model card was written for",
            where=where,
            remedy=_EXPORT_AGAIN,
        )
