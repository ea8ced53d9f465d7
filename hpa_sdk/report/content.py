"""Collects the content of the report page in plain records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from hpa_sdk import __version__
from hpa_sdk.cells.outlines import css_colours
from hpa_sdk.fields.composite import COLOURS, WHITE_PERCENTILE
from hpa_sdk.inference.prepared_field import ADAPTED_TO
from hpa_sdk.labels import HPA_2018, LabelScheme
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.prediction import Failure
from hpa_sdk.report.cells import FieldCells, cells_content
from hpa_sdk.report.fields import Field
from hpa_sdk.report.metrics import UNSURE, ClassFigures, judge, overall
from hpa_sdk.report.pictures import Picture
from hpa_sdk.results.result import Result, ResultError
from hpa_sdk.review.queue import Candidate, in_random_share, offers

_DIGITS = 4


def page_content(
    fields: Sequence[Field],
    pictures: Sequence[Picture | Failure],
    *,
    scheme: LabelScheme,
    title: str,
    card: ModelCard | None,
    provenance: Mapping[str, str],
    cells: Mapping[str, FieldCells] | None = None,
) -> dict[str, Any]:
    """Return all content of the page except the pictures.

    Parameters
    ----------
    fields : sequence of Field
        The fields, in the order of the results.
    pictures : sequence of Picture or Failure
        Their pictures.
    scheme : LabelScheme
        The classes of the results.
    title : str
        Of the page.
    card : ModelCard, optional
        The model's.
    provenance : mapping of str to str
        Where results, planes and truth come from.
    cells : mapping of str to FieldCells, optional
        The cells of fields, by the id of the field.
    """
    models = list(dict.fromkeys(field.result.model_sha256 for field in fields))
    turns = _turns(fields)
    thresholds = list(dict.fromkeys(field.thresholds for field in fields if field.thresholds))
    judged = [field for field in fields if field.truth is not None and field.result.error is None]
    figures = judge(((field.labels, field.truth or frozenset()) for field in judged), len(scheme))
    micro, macro = overall(figures)
    return {
        "title": title,
        "made": f"by hpa-sdk {__version__} at {datetime.now(UTC).isoformat(timespec='seconds')}",
        "names": scheme.names,
        "scheme": scheme.name,
        "own_classes": () if scheme == HPA_2018 else scheme.names,
        "models": models,
        "ensembles": {
            field.result.model_sha256: {"models": field.result.models, "views": field.result.views}
            for field in fields
            if field.result.models
        },
        "thresholds": thresholds,
        "unsure": UNSURE,
        "brightest": WHITE_PERCENTILE,
        "colours": COLOURS,
        "judged": {
            "fields": len(judged),
            "micro": micro,
            "macro": macro,
            "adapted": sum(ADAPTED_TO in field.result.notes for field in judged),
        }
        if judged
        else None,
        "repeated": sum(field.repeats_id for field in fields) or None,
        "classes": _classes(fields, len(scheme), figures if judged else None),
        "card": None if card is None else msgspec.to_builtins(card),
        "provenance": provenance,
        "cell_colours": css_colours(len(scheme)) if cells else None,
        "fields": [
            _field(field, picture, thresholds)
            | _picture(picture)
            | _cells(field, picture, cells or {})
            | {"model": models.index(field.result.model_sha256)}
            | turns.get(field.result.id, {})
            for field, picture in zip(fields, pictures, strict=True)
        ],
    }


def _classes(fields: Sequence[Field], classes: int, figures: Sequence[ClassFigures] | None) -> list[dict[str, Any]]:
    counts = [sum(index in field.result.indices for field in fields) for index in range(classes)]
    if figures is None:
        return [{"found": count} for count in counts]
    return [
        {"found": count, "support": of.support, "precision": of.precision, "recall": of.recall, "f1": of.f1}
        for count, of in zip(counts, figures, strict=True)
    ]


def _field(field: Field, picture: Picture | Failure, thresholds: Sequence[tuple[float, ...]]) -> dict[str, Any]:
    result = field.result
    record = {
        "id": result.id,
        "labels": list(result.indices),  # also if there are none
        "p": [round(probability, _DIGITS) for probability in result.probabilities] or None,
        "t": thresholds.index(field.thresholds) if field.thresholds else None,
        "certainty": field.certainty,
        "unsure": field.is_unsure or None,
        "truth": None if field.truth is None else sorted(map(int, field.truth)),
        "wrong": field.wrong_margin,
        "error": None if result.error is None else _text(result.error),
        "picture_error": str(picture.error) if isinstance(picture, Failure) and result.error is None else None,
        "files": result.files,
        "notes": result.notes,
        "warnings": result.warnings,
        "channels": result.channels,
        "stamps": msgspec.json.encode(result.stamps).decode() if result.stamps else None,
        "time": result.time,
        "device": result.device,
    }
    return {name: value for name, value in record.items() if value not in (None, "", ())}


def _turns(fields: Sequence[Field]) -> dict[str, dict[str, Any]]:
    """Return the turn of each field in a review, and whether it is of the random share."""
    found = {field.result.id: Candidate.of(at, _with_thresholds(field)) for at, field in enumerate(fields)}
    candidates = {name: candidate for name, candidate in found.items() if candidate is not None}
    offered = offers(candidates, own=(), others=(), disputed=(), done=0)
    return {
        offer.field: {"turn": turn, "random": True} if in_random_share(offer.field) else {"turn": turn}
        for turn, offer in enumerate(offered)
    }


def _with_thresholds(field: Field) -> Result:
    return replace(field.result, thresholds=field.thresholds)


def _cells(field: Field, picture: Picture | Failure, cells: Mapping[str, FieldCells]) -> dict[str, Any]:
    size = None if isinstance(picture, Failure) else (picture.full_width, picture.full_height)
    return cells_content(cells, field.result, size)


def _picture(picture: Picture | Failure) -> dict[str, Any]:
    if isinstance(picture, Failure):
        return {}
    size: dict[str, Any] = {"size": [picture.width, picture.height], "full": [picture.full_width, picture.full_height]}
    return size | ({"caption": picture.caption} if picture.caption else {})


def _text(error: ResultError) -> str:
    # A table has the whole message in one cell.
    return str(error) if error.remedy else error.what
