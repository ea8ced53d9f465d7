"""Puts a model card into an ONNX file from elsewhere, or a reference into a card. The graph stays the same bytes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace as changed
from pathlib import Path
from typing import Literal

import onnx

from export.errors import VariantError
from export.model_card import card_for
from export.unchanged import unchanged
from export.variants.variant import refuse_overwriting, refuse_package
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.inference.devices import Device
from hpa_sdk.inference.session import Session, SessionSettings
from hpa_sdk.models.card_file import read_card_file
from hpa_sdk.models.checksum import CHECKSUM_KEY, add_checksum
from hpa_sdk.models.contract import check_contract, check_model, read_model
from hpa_sdk.models.model_card import METADATA_KEY, ModelCard
from hpa_sdk.models.onnx_file import OnnxFile, describe_onnx, map_file
from hpa_sdk.models.onnx_schema import Entry, Model
from hpa_sdk.models.protobuf_wire import fields, text
from hpa_sdk.quality.reference import read_reference


def adopt(model: Path, card: Path, out: Path, *, replace: bool = False) -> ModelCard:
    """Write a copy of an ONNX file that carries a card and a checksum. Operators and weights stay the same bytes.

    Parameters
    ----------
    model : pathlib.Path
        An ONNX file with one image as its input.
    card : pathlib.Path
        The card as a TOML file: see `hpa_sdk.models.card_file`.
    out : pathlib.Path
        The file to write, atomically.
    replace : bool
        Replace a card that the file carries.

    Returns
    -------
    ModelCard
        The card inside the new file, with the date, and the precision that the file's operators and weights show.

    Raises
    ------
    ModelCardError
        The card can't be used.
    ModelFileError
        The file is not an ONNX model, does not have the inputs and outputs that the card describes, can't be opened, or
        was changed while it was read.
    VariantError
        The file is a package, carries a card already, or is the one to be written.
    OutputError
        The file can't be written.
    """
    with unchanged(model):
        content = bytes(map_file(model))
        refuse_package(model)
    refuse_overwriting(model, out)
    file = describe_onnx(memoryview(content), model)
    if METADATA_KEY in file.metadata and not replace:
        raise VariantError(
            "the file carries a card already",
            where=model,
            remedy="Use the file as it is ('hpa inspect' shows its card), or replace the card with --replace.",
        )
    given = read_card_file(card)
    check_contract(file, given)
    Session(content, Device("cpu"), SessionSettings(tensors=given.tensors)).close()
    return write_card(content, changed(given, precision=_precision(file)), out)


def put_reference(model: Path, reference: Path, out: Path) -> ModelCard:
    """Write a copy of a model file whose card has a reference. Operators and weights stay the same bytes.

    Parameters
    ----------
    model : pathlib.Path
        A model file with its card.
    reference : pathlib.Path
        What ``hpa reference`` learned for this model.
    out : pathlib.Path
        The file to write, atomically.

    Returns
    -------
    ModelCard
        The card inside the new file, with the date.

    Raises
    ------
    ModelCardError, SettingError
        The model has no card, or the reference can't be used or is of another model.
    ModelFileError, VariantError, OutputError
        As for `adopt`.
    """
    learned = read_reference(reference)
    with unchanged(model):
        content = bytes(map_file(model))
        refuse_package(model)
        card = check_model(model, reference=learned)
    refuse_overwriting(model, out)
    return write_card(content, card, out)


def write_card(content: bytes, card: ModelCard, out: Path) -> ModelCard:
    """Write a model file with another card, with today's date and a new checksum. All other bytes stay the same."""
    written = card_for(content, card)
    entry = onnx.StringStringEntryProto(key=METADATA_KEY, value=written.to_json())
    # In protobuf, bytes appended to a message add to it. So no other byte of the file changes.
    bare = _without_metadata(content, (METADATA_KEY, CHECKSUM_KEY))
    with atomic_write(out) as partial:
        partial.write_bytes(add_checksum(bare + onnx.ModelProto(metadata_props=[entry]).SerializeToString()))
        read_model(partial)
    return written


def _precision(file: OnnxFile) -> Literal["fp32", "fp16", "int8"]:
    if any("QuantizeLinear" in operator or operator.startswith("QLinear") for operator in file.operators):
        return "int8"
    return "fp16" if next(iter(file.weights), "") == "float16" else "fp32"


def _without_metadata(model: bytes, keys: Collection[str]) -> bytes:
    kept, start = [], 0
    for number, value, end in fields(memoryview(model)):
        if not (number == Model.METADATA and isinstance(value, memoryview) and text(value, Entry.KEY) in keys):
            kept.append(model[start:end])
        start = end
    return b"".join(kept)
