"""Makes a small model that takes the planes of a field as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from export.raw_planes.graph import with_raw_planes
from hpa_sdk.models.model_card import METADATA_KEY
from tests.small import CARD, build_model


def make_raw_model(path: Path, **changes: Any) -> Path:
    """Write the small model with the preprocessing in front, and a card with changes."""
    model = with_raw_planes(build_model(), CARD)
    card = replace(CARD, preprocessing=replace(CARD.preprocessing, place="graph"), **changes)
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, path)
    return path
