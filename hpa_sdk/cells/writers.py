"""Writes the answers for the cells of fields as they arrive, one row per cell: CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TextIO

from hpa_sdk.cells.cell import Cell, CellAnswers, Segmentation
from hpa_sdk.cells.outlines import outline_of, to_wkt
from hpa_sdk.errors import OutputError
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.files.file_state import escaped
from hpa_sdk.labels import HPA_2018, LabelScheme
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.results.writers import FIRST_COLUMNS, ParquetWriter, csv_row, json_row, origin_columns

CELL_COLUMNS = (
    *("cell", "top", "left", "bottom", "right", "row", "column"),
    *("area", "area_um2", "border", "outline", "segmentation", "pixel_size"),
)
"""The columns of tables after the id of the field and before the labels: the number of the cell, its box and centre in
pixels, its area in pixels and in square micrometres, whether it touches the border of the field, its simplified outline
in pixels as well-known text, what found it, and the micrometres per pixel."""

_TOLERANCE, _MOST_POINTS = 1.0, 40  # some 200 bytes a cell

FORMS = ("csv", "jsonl", "parquet")
"""All formats of files, which are also the file extensions."""

_Row = tuple[Prediction | Failure, dict[str, Any]]


class CellWriter(Protocol):
    """Writes the cells of one field after the other."""

    def write(self, answers: CellAnswers | Failure) -> None:
        """Write the cells of a field, or why it has none. A field without cells gets one row, with an error."""


class CsvCellWriter:
    """The columns of `hpa_sdk.results.writers.CsvWriter`, with `CELL_COLUMNS` after the id.

    Raises
    ------
    OutputError
        A class has the name of one of these columns.
    """

    def __init__(self, file: TextIO, scheme: LabelScheme) -> None:
        check_class_names(scheme)
        self._scheme = scheme
        self._rows = csv.writer(file, lineterminator="\n")
        first, *rest = FIRST_COLUMNS
        self._rows.writerow([first, *CELL_COLUMNS, *rest, *scheme.names, *origin_columns(scheme)])

    def write(self, answers: CellAnswers | Failure) -> None:
        """Write the cells of a field."""
        for answer, of_cell in _rows_of(answers):
            name, *row = csv_row(answer, self._scheme)
            self._rows.writerow([name, *(of_cell.get(column) for column in CELL_COLUMNS), *row])


class JsonLinesCellWriter:
    """One JSON object per line: that of `hpa_sdk.results.writers.JsonLinesWriter`, and the names of `CELL_COLUMNS`."""

    def __init__(self, file: TextIO, scheme: LabelScheme) -> None:
        self._file = file
        self._scheme = scheme

    def write(self, answers: CellAnswers | Failure) -> None:
        """Write the cells of a field."""
        for answer, of_cell in _rows_of(answers):
            row = json_row(answer, self._scheme)
            # Each row has a cell, if only null: so the first row shows that a file is of cells.
            line = {"id": row.pop("id"), "cell": None, **of_cell, **row}
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


class ParquetCellWriter:
    """The columns of `hpa_sdk.results.writers.ParquetWriter`, with `CELL_COLUMNS` after the id."""

    def __init__(self, path: Path, scheme: LabelScheme) -> None:
        check_class_names(scheme)
        self.rows = ParquetWriter(path, scheme, _parquet_columns)

    def write(self, answers: CellAnswers | Failure) -> None:
        """Write the cells of a field."""
        for answer, of_cell in _rows_of(answers):
            self.rows.write_row(answer, of_cell)


@contextmanager
def open_cell_writer(path: Path, form: str, scheme: LabelScheme = HPA_2018) -> Iterator[CellWriter]:
    """Open a file of cells, which appears complete when the block ends without an error, or not at all.

    Fields are written as they arrive: at most a thousand rows are in memory.

    Parameters
    ----------
    path : pathlib.Path
        The file; UTF-8, lines end with a line feed.
    form : str
        One of `FORMS`.
    scheme : LabelScheme
        The classes that the model answers with.

    Raises
    ------
    OutputError
        No file can be written there, or not in this format.
    """
    with atomic_write(path) as partial:
        if form == "parquet":
            writer = ParquetCellWriter(partial, scheme)
            with writer.rows:
                yield writer
        else:
            with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                yield CsvCellWriter(file, scheme) if form == "csv" else JsonLinesCellWriter(file, scheme)


def _rows_of(answers: CellAnswers | Failure) -> Iterator[_Row]:
    """Return the answer of each cell under the id of its field, and what is known of the cell."""
    if isinstance(answers, Failure):
        yield answers, {}
        return
    found = answers.segmentation
    if answers.failure is not None:
        yield answers.failure, {"segmentation": escaped(found.source), "pixel_size": found.pixel_size}
    for cell, answer in zip(found.cells, answers.answers, strict=True):
        notes = () if isinstance(answer, Failure) else tuple(dict.fromkeys((*answer.notes, *found.notes)))
        named = (
            replace(answer, id=answers.id)
            if isinstance(answer, Failure)
            else replace(answer, id=answers.id, notes=notes)
        )
        yield named, _values(cell, found)


def _values(cell: Cell, found: Segmentation) -> dict[str, Any]:
    values = (
        *(cell.number, *cell.box, *(round(side, 2) for side in cell.centre), cell.area),
        *(None if cell.area_um2 is None else round(cell.area_um2, 4), int(cell.border)),
        to_wkt(outline_of(found.labels, cell, tolerance=_TOLERANCE, most=_MOST_POINTS)),
        *(escaped(found.source), found.pixel_size),
    )
    return dict(zip(CELL_COLUMNS, values, strict=True))


def _parquet_columns(pa: Any) -> dict[str, Any]:  # noqa: ANN401 - a package without types
    kinds = (
        *(pa.int32(), *(pa.int32(),) * 4, *(pa.float32(),) * 2),
        *(pa.int32(), pa.float64(), pa.int8(), pa.string(), pa.string(), pa.float64()),
    )
    return dict(zip(CELL_COLUMNS, kinds, strict=True))


def check_class_names(scheme: LabelScheme) -> None:
    """Check that no class has the name of a column of the table.

    Raises
    ------
    OutputError
        One has.
    """
    taken = [name for name in scheme.names if name.casefold() in CELL_COLUMNS]
    if taken:
        raise OutputError(
            f"the class {taken[0]!r} has the name of a column of the table",
            remedy="Give the class another name in the model card, or write JSON lines ('hpa cells --format jsonl'),"
            " which have the probabilities in an object of their own.",
        )
