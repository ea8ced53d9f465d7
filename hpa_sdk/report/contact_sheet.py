"""Puts many fields on one picture, for a talk, a printout or a quick look."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.prediction import Failure
from hpa_sdk.report.fields import Field, sort_for_review
from hpa_sdk.report.pictures import THUMBNAIL, Picture

FIELDS = 100
"""Maximum number of fields on a sheet."""

_GAP, _LINE, _NOTE_LINE, _TITLE = 12, 17, 15, 40
_CAPTION_LINES = 4
_COLUMNS = 10
_PAPER, _INK, _SOFT, _WRONG = "#12151a", "#e9edf2", "#9ba6b4", "#ff9d57"


def write_contact_sheet(
    fields: Sequence[Field], pictures: Sequence[Picture | Failure], path: Path, *, title: str
) -> None:
    """Write a PNG with the fields most worth a look: the worst mistakes, or else the least sure answers, first.

    Parameters
    ----------
    fields : sequence of Field
        The fields.
    pictures : sequence of Picture or Failure
        Their pictures.
    path : pathlib.Path
        The file; it appears complete or not at all.
    title : str
        Of the sheet.

    Raises
    ------
    OutputError
        No file can be written there.
    """
    chosen = sort_for_review(fields)[:FIELDS]
    columns = min(_COLUMNS, len(chosen))
    tile = THUMBNAIL + _GAP, THUMBNAIL + _CAPTION_LINES * _LINE + _GAP
    rows = -(-len(chosen) // columns)
    sheet = Image.new("RGB", (columns * tile[0] + _GAP, rows * tile[1] + _TITLE + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    first = "worst mistakes first" if any(field.wrong_margin for field in fields) else "least sure first"
    pen.text((_GAP, _GAP), f"{title}: {len(chosen)} of {len(fields)} fields, {first}", _INK, ImageFont.load_default(18))
    for position, at in enumerate(chosen):
        row, column = divmod(position, columns)
        corner = _GAP + column * tile[0], _TITLE + _GAP + row * tile[1]
        _draw_picture(sheet, pictures[at], corner)
        _draw_note(pen, fields[at], pictures[at], corner)
        _draw_caption(pen, fields[at], (corner[0], corner[1] + THUMBNAIL + 3))
    with atomic_write(path) as partial:
        sheet.save(partial, format="PNG")


def _draw_picture(sheet: Image.Image, picture: Picture | Failure, corner: tuple[int, int]) -> None:
    drawn = Image.new("RGB", (THUMBNAIL, THUMBNAIL))
    if isinstance(picture, Picture):
        with Image.open(io.BytesIO(picture.thumbnail), formats=["WEBP"]) as small:
            drawn.paste(small, ((THUMBNAIL - small.width) // 2, (THUMBNAIL - small.height) // 2))
    sheet.paste(drawn, corner)


def _draw_note(pen: ImageDraw.ImageDraw, field: Field, picture: Picture | Failure, corner: tuple[int, int]) -> None:
    """Write over a picture what a reader has to know of it, or the reason why there is none."""
    if isinstance(picture, Failure):
        text = "" if field.result.error is not None else f"no picture: {picture.error.what}"
    else:
        text = picture.caption
    if not text:
        return
    font = ImageFont.load_default(12)
    lines = _wrapped(text, font)
    top = corner[1] + THUMBNAIL - len(lines) * _NOTE_LINE - 4
    pen.rectangle((corner[0], top, corner[0] + THUMBNAIL - 1, corner[1] + THUMBNAIL - 1), _PAPER)
    for at, line in enumerate(lines):
        pen.text((corner[0] + 3, top + 2 + at * _NOTE_LINE), line, _WRONG, font)


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= THUMBNAIL - 6 or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _draw_caption(pen: ImageDraw.ImageDraw, field: Field, corner: tuple[int, int]) -> None:
    lines = [(field.result.id, _SOFT), *_labels(field)]
    if field.result.error is not None:
        lines = [lines[0], ("failed:", _WRONG), (field.result.error.what, _WRONG)]
    font = ImageFont.load_default(12)
    for at, (text, colour) in enumerate(lines[:_CAPTION_LINES]):
        pen.text((corner[0], corner[1] + at * _LINE), _fitting(text, font), colour, font)


def _labels(field: Field) -> list[tuple[str, str]]:
    if field.truth is None:
        return [(str(label), _INK) for label in sorted(field.labels, key=int)] or [("no label", _SOFT)]
    predicted = [
        (str(label) if label in field.truth else f"wrong: {label}", _INK if label in field.truth else _WRONG)
        for label in sorted(field.labels, key=int)
    ]
    missed = sorted(field.truth - field.labels, key=int)
    return [*predicted, *((f"missed: {label}", _WRONG) for label in missed)]


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    shorter = (text, *(f"{text[:length]}..." for length in range(len(text) - 1, 0, -1)))
    return next((line for line in shorter if font.getlength(line) <= THUMBNAIL), "")
