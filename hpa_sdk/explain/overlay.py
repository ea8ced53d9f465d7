"""Draws explanations over the protein that they explain, and writes their values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from hpa_sdk.explain.occlusion import Explanation
from hpa_sdk.fields.composite import Shown, composite, show
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.preprocessing import Planes

SIDE = 448
"""Longest side of a panel in pixels."""

_Colours = npt.NDArray[np.uint8]

_FOR, _AGAINST = (240, 150, 20), (70, 165, 255)  # orange and blue: distinct for colour-blind readers too
_STRONGEST = 0.75  # share of the colour where a map is highest; the protein stays visible below it
_DIMMED = 0.8
_GAP, _HEAD, _NAME, _BAR = 14, 30, 24, 46
_PAPER, _INK, _SOFT = (18, 21, 26), (233, 237, 242), (155, 166, 180)
_DESCRIPTION = 270  # the TIFF tag


@dataclass(frozen=True, slots=True)
class Explained:
    """A field and its explanation."""

    id: str
    planes: Planes
    explanation: Explanation


def write_overlay(fields: Sequence[Explained], path: Path) -> None:
    """Write a PNG with a row for each field: all planes, the protein, and the protein under the map of each label.

    Where a map is above half of its maximum, a line runs around it. Each map has a colour bar of its own, in log-odds.

    Parameters
    ----------
    fields : sequence of Explained
        At least one.
    path : pathlib.Path
        The file; it appears complete or not at all.

    Raises
    ------
    OutputError
        No file can be written there.
    """
    rows = [_draw_row(field) for field in fields]
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), _PAPER)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    with atomic_write(path) as partial:
        sheet.save(partial, format="PNG")


def write_maps(fields: Sequence[Explained], path: Path) -> None:
    """Write the maps as pages of a TIFF, float32, at the size of the planes.

    The first page's description is a JSON list that names the field and the label of each page.

    Raises
    ------
    OutputError
        No file can be written there.
    """
    pages = [(field.id, label, page) for field in fields for label, page in _maps(field.explanation)]
    first, *others = [Image.fromarray(page) for _, _, page in pages]
    names = json.dumps([{"id": name, "label": label} for name, label, _ in pages])
    with atomic_write(path) as partial:
        first.save(partial, format="TIFF", save_all=True, append_images=others, tiffinfo={_DESCRIPTION: names})


def _maps(explanation: Explanation) -> list[tuple[str, npt.NDArray[np.float32]]]:
    return [(str(label), page) for label, page in zip(explanation.labels, explanation.maps, strict=True)]


def _draw_row(field: Explained) -> Image.Image:
    shown = _enlarge(show(field.planes, side=SIDE))
    grey = cv2.merge([shown[1]] * 3)
    height, width = grey.shape[:2]
    panels: list[tuple[str, _Colours, float | None]] = [
        ("all four planes", composite(shown), None),
        ("the protein", cast("_Colours", grey), None),
    ]
    for label, page in zip(field.explanation.labels, field.explanation.maps, strict=True):
        most = float(np.abs(page).max())
        name = f"{label}: probability {field.explanation.prediction.probabilities[int(label)]:.2f}"
        panels.append((name, _overlay(grey, cv2.resize(page, (width, height)), most), most))
    row = Image.new("RGB", (_GAP + len(panels) * (SIDE + _GAP), _HEAD + _NAME + height + _BAR + _GAP), _PAPER)
    pen = ImageDraw.Draw(row)
    pen.text((_GAP, 8), field.id, _INK, ImageFont.load_default(17))
    for at, (name, panel, scale) in enumerate(panels):
        left = _GAP + at * (SIDE + _GAP)
        pen.text((left, _HEAD + 3), name, _INK, ImageFont.load_default(14))
        row.paste(Image.fromarray(panel), (left, _HEAD + _NAME))
        if scale is not None:
            _draw_bar(row, pen, (left, _HEAD + _NAME + height + 8), scale)
    return row


def _enlarge(shown: Shown) -> Shown:
    factor = SIDE / max(shown.shape)
    sized = [cv2.resize(plane, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR) for plane in shown]
    return np.stack(sized).astype(np.uint8)


def _overlay(grey: npt.NDArray[np.uint8], page: npt.NDArray[np.float32], most: float) -> _Colours:
    share = page / most if most else page
    colour = np.where(share[..., np.newaxis] > 0, np.float32(_FOR), np.float32(_AGAINST))  # type: ignore[arg-type]
    strength = (np.abs(share) * _STRONGEST)[..., np.newaxis]
    mixed = np.ascontiguousarray((grey * _DIMMED * (1 - strength) + colour * strength).clip(0, 255).astype(np.uint8))
    edges, _ = cv2.findContours((share > 1 / 2).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mixed, edges, -1, (255, 255, 255), 1, cv2.LINE_AA)
    return mixed


def _draw_bar(row: Image.Image, pen: ImageDraw.ImageDraw, corner: tuple[int, int], most: float) -> None:
    values = np.repeat(np.linspace(-most, most, SIDE, dtype=np.float32)[np.newaxis], 10, axis=0)
    black = np.zeros((*values.shape, 3), np.uint8)
    bar = _overlay(cast("_Colours", black), values, most)
    row.paste(Image.fromarray(bar), corner)
    font = ImageFont.load_default(12)
    for share, anchor in ((0, "la"), (1 / 2, "ma"), (1, "ra")):
        text = {0: f"-{most:.2f} against", 1 / 2: "0", 1: f"fall of log-odds, for +{most:.2f}"}[share]
        pen.text((corner[0] + share * SIDE, corner[1] + 14), text, _SOFT, font, anchor=anchor)
