"""Writes the page of figures of the starter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.starter.judging import Judgement
from benchmarks.starter.run import LICENCE, NOT_FOR
from hpa_sdk.files.atomic_write import atomic_write

_SETS = {
    "simulated": "simulated",
    "real_cells": "real_cells, held-out part",
    "kaggle_fields": "kaggle_fields, never fitted or tuned on",
}
_FEWEST_ALONE = 5
_COLUMNS = ("fit", "views", "set", "fields", "macro F1", "micro F1", "macro AUC", "average precision")


@dataclass(frozen=True, slots=True)
class Row:
    """One fit with its figures.

    Attributes
    ----------
    name : str
        What was fitted on what.
    views : int
        Views that it was fitted on.
    found : mapping of str to Judgement
        Its figures, by set.
    """

    name: str
    views: int
    found: Mapping[str, Judgement]


def write_page(out: Path, rows: Sequence[Row], tried: str) -> None:
    """Write the page: all fits, then the first one class by class.

    Parameters
    ----------
    out : pathlib.Path
        The page.
    rows : sequence of Row
        The starter first.
    tried : str
        Markdown on what was tried.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as partial:
        partial.write_text("\n".join(_page(rows, tried)) + "\n", encoding="utf-8")


def _page(rows: Sequence[Row], tried: str) -> Iterator[str]:
    yield "# Starter"
    yield ""
    yield "Written by `python -m benchmarks.starter`. The starter is the small model that the package ships."
    yield f"{NOT_FOR}"
    yield f"Licence: {LICENCE}."
    yield ""
    yield "Figures are on held-out fields, with 95 % intervals by bootstrap over the fields. *simulated* fields are"
    yield "drawings: no biology. real_cells are collages of nine segmented cells each, with five classes. kaggle_fields"
    yield "are 60 genuine fields of the Kaggle set of 2018. Thresholds are tuned on other simulated fields and on other"
    yield "collages. Means are over the classes with enough fields; micro F1 is over all decisions."
    yield ""
    yield from _table(_COLUMNS, (cells for row in rows for cells in _cells(row)))
    yield ""
    yield "## Chance"
    yield ""
    yield "The guess says the same commonest classes of each field: those with the highest micro F1. By chance,"
    yield "macro AUC is 0.50, below the bound in 95 % of random permutations, and average precision is the base rate."
    yield ""
    columns = ("set", "classes", "AUC bound", "base rate", "guess", "its macro F1", "its micro F1")
    yield from _table(columns, (_chance(judgement) for judgement in rows[0].found.values()))
    yield ""
    yield "## What was tried"
    yield ""
    yield tried.strip()
    for judgement in rows[0].found.values():
        yield ""
        yield f"## {_SETS[judgement.data]}: classes with {_shown(judgement)} fields or more"
        yield ""
        cells = (
            (one.label, str(one.support), f"{one.f1:.2f}", str(one.auc), f"{one.average_precision:.2f}")
            for one in judgement.classes
            if one.support >= _shown(judgement)
        )
        yield from _table(("class", "fields", "F1", "AUC", "average precision"), cells)


def _shown(judgement: Judgement) -> int:
    """Give the fields from which a class is shown alone."""
    return max(judgement.fewest, _FEWEST_ALONE)


def _cells(row: Row) -> Iterator[tuple[str, ...]]:
    for judgement in row.found.values():
        figures = (judgement.macro_f1, judgement.micro_f1, judgement.auc, judgement.average_precision)
        yield (row.name, f"{row.views:,}", _SETS[judgement.data], str(judgement.fields), *map(str, figures))


def _chance(judgement: Judgement) -> tuple[str, ...]:
    return (
        _SETS[judgement.data],
        f"{len(judgement.classes)}, of {judgement.fewest} or more fields",
        f"{judgement.chance_auc:.2f}",
        f"{judgement.base_rate:.2f}",
        "; ".join(judgement.guess),
        f"{judgement.guess_macro_f1:.2f}",
        f"{judgement.guess_micro_f1:.2f}",
    )


def _table(columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join('---' for _ in columns)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"
