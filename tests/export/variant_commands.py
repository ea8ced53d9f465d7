"""Runs the commands that make variants, and reads what they wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from click.testing import CliRunner, Result

from export.__main__ import main
from hpa_sdk.models.contract import read_card
from hpa_sdk.models.model_card import METADATA_KEY, ModelCard
from hpa_sdk.models.onnx_file import read_onnx
from hpa_sdk.models.variant import Variant


def export(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def make(command: str, model: Path, data: Path, *options: object) -> Path:
    out = model.with_name(f"{command}.onnx")
    result = export(command, model, data, "-o", out, *options)
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    return out


def card_of(path: Path) -> ModelCard:
    return read_card(read_onnx(path))


def variant_of(path: Path) -> Variant:
    found = card_of(path).variant
    assert found is not None
    return found


def with_card(parent: Path, path: Path, **changes: Any) -> Path:
    """Write the parent again with another card."""
    model = onnx.load(parent)
    onnx.helper.set_model_props(model, {METADATA_KEY: replace(card_of(parent), **changes).to_json()})
    onnx.save(model, path)
    return path
