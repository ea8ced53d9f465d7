"""Writes the two tables of a download: the labels of complete fields, and the failures."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from hpa_sdk.files.atomic_write import atomic_write

LABEL_TABLE, FAILURE_TABLE, PLANE_FOLDER = "train.csv", "failures.csv", "train"
"""Names in a data set of the Kaggle form, and the table of failures next to them."""


@dataclass(frozen=True, slots=True)
class PlaneFailure:
    """A plane that is missing from a data set.

    Attributes
    ----------
    id, channel : str
        Field and channel of the plane.
    url : str
        Its address.
    reason : str
        Why it is missing.
    """

    id: str
    channel: str
    url: str
    reason: str


def write_label_table(folder: Path, rows: Iterable[tuple[str, str]]) -> Path:
    """Write ``train.csv``: ``Id,Target``, with class indices separated by spaces; it appears whole or not at all."""
    return _write(folder / LABEL_TABLE, ("Id", "Target"), rows)


def write_failures(folder: Path, failures: Sequence[PlaneFailure]) -> None:
    """Write ``failures.csv``, or remove an older one if nothing failed."""
    table = folder / FAILURE_TABLE
    if failures:
        _write(table, [field.name for field in fields(PlaneFailure)], map(astuple, failures))
    else:
        table.unlink(missing_ok=True)


def _write(table: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Path:
    with atomic_write(table) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return table
