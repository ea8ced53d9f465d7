"""Reads named columns and labels of a text table. Errors give the line number."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hpa_sdk.errors import TableError
from hpa_sdk.fields.table_text import SEPARATORS, Record, Records, clean, is_empty, open_text
from hpa_sdk.labels import HPA_2018, AnyLabel, Label, LabelScheme

_TABLES = (".csv", ".tsv", ".tab")
_SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
_NAMES_IN_MESSAGE = 12

_SEPARATOR_LINE = re.compile(r'\s*"?sep=([^\r\n" ])"?[\s,;|]*', re.IGNORECASE)

_LONGEST = 100  # digits of a label, which may start with zeros
_NAME_SEPARATORS = re.compile(r"[;,|]")
_STARTS_WITH_A_NAME = re.compile(r"[;,|\s]*[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    line : int
        Number of its last line in the file, from 1, for messages.
    values : tuple of str
        One value for each requested column, without surrounding spaces.
    note : str
        How it was read, if its text is not UTF-8.
    problem : TableError or None
        Why it can't be used. If it is None, no value is empty.
    """

    line: int
    values: tuple[str, ...]
    note: str = ""
    problem: TableError | None = None


def is_table(path: Path) -> bool:
    """Whether a path is that of a table, by its extension. A spreadsheet counts, and is refused when it is read."""
    suffix = path.suffix.lower()
    # "Unicode text" of Excel ends with .txt, but so can the common part of the names of four planes.
    return suffix in (*_TABLES, *_SPREADSHEETS) or (suffix == ".txt" and path.is_file())


def read_columns(table: Path, *columns: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Read some columns of a table, row by row. Every row must be valid.

    Parameters
    ----------
    table, columns
        As for `read_rows`.

    Yields
    ------
    line : int
        Number of the row's last line in the file, from 1, for messages.
    values : tuple of str
        One value for each of `columns`, without surrounding spaces; never empty.

    Raises
    ------
    TableError
        As for `read_rows`, or a row can't be used.
    """
    for row in read_rows(table, *columns):
        if row.problem is not None:
            raise row.problem
        yield row.line, row.values


def read_rows(table: Path, *columns: str) -> Iterator[Row]:
    """Read some columns of a table, row by row. An invalid row does not affect the others. Empty rows are skipped.

    Parameters
    ----------
    table : pathlib.Path
        A text file with a header line, encoded in UTF-8, UTF-16 or, line by line, Windows-1252. The separators are
        commas, semicolons, tabs or vertical bars, or the character in a first line ``sep=``.
    *columns : str
        The columns to read, as the header names them. Letter case and surrounding spaces are ignored.

    Yields
    ------
    Row
        In the order of the table.

    Raises
    ------
    TableError
        The table is missing or not text, a column is missing or exists twice, or there is no row.
    """
    empty = True
    try:
        with open_text(table) as text:
            header, records, separator = read_header(text, columns, table)
            places = [_place(column, header, separator, table) for column in columns]
            for record in records:
                if record.problem or not is_empty(record.cells):
                    empty = False
                    yield _row(record, columns, places, header, records, table)
    except OSError as error:
        raise TableError(
            f"the table can't be read ({error.strerror or error})",
            where=table,
            remedy="Check the path, and that you may read it.",
        ) from error
    if empty:
        raise TableError("the table has no row", where=table, remedy="Name a table with at least one field.")


def read_header(text: IO[str], columns: Sequence[str], table: Path) -> tuple[list[str], Records, str]:
    """Read the header of a table, with the separator that gives the requested columns.

    Parameters
    ----------
    text : file
        The table, as `open_text` opens it.
    columns : sequence of str
        The requested columns.
    table : pathlib.Path
        For messages.

    Returns
    -------
    header : list of str
        The names of all columns, cleaned.
    records : Records
        The records after it.
    separator : str
        The separator that was found. If no separator gives all columns, the one with the most cells.
    """
    named = _SEPARATOR_LINE.fullmatch(text.readline())
    best: tuple[int, str] | None = None
    for separator in dict.fromkeys([*([named[1]] if named else []), *SEPARATORS]):
        header, records = _header(text, separator, skip=named is not None)
        if all(_find(column, header) for column in columns):
            return header, records, separator
        if best is None or len(header) > best[0]:
            best = len(header), separator
    if best is None or not best[0]:
        raise TableError("the table is empty", where=table, remedy="Name a table with at least one field.")
    return *_header(text, best[1], skip=named is not None), best[1]


def _header(text: IO[str], separator: str, *, skip: bool) -> tuple[list[str], Records]:
    text.seek(0)
    if skip:
        text.readline()
    records = Records(text, separator, line=int(skip))
    cells = next((record.cells for record in records if not is_empty(record.cells)), [])
    return [clean(cell) for cell in cells], records


def _find(column: str, header: Sequence[str]) -> list[int]:
    """Return the positions of a column in the header: as written, or else in any letter case."""
    exact = [place for place, name in enumerate(header) if name == column]
    return exact or [place for place, name in enumerate(header) if name.casefold() == column.casefold()]


def _place(column: str, header: Sequence[str], separator: str, table: Path) -> int:
    places = _find(column, header)
    if len(places) == 1:
        return places[0]
    if places:
        raise TableError(
            f"{len(places)} columns of the table are named {column!r}", where=table, remedy="Leave one of them."
        )
    raise missing_column(column, header, separator, table)


def missing_column(column: str, header: Sequence[str], separator: str, table: Path) -> TableError:
    """Make the error for a missing column: it lists the existing columns and their separator."""
    if any(not (character.isprintable() or character.isspace()) for name in header for character in name):
        return TableError("this is no text table", where=table, remedy="Name a CSV file, in UTF-8.")
    names = ", ".join(repr(name[:_LONGEST]) for name in header[:_NAMES_IN_MESSAGE])
    more = ", ..." if len(header) > _NAMES_IN_MESSAGE else ""
    by = f", separated by {SEPARATORS.get(separator, repr(separator))}" if len(header) > 1 else ""
    remedy = f"Its first line should name the column {column!r}, as in the Kaggle set."
    if len(header) == 1 and any(mark in header[0] for mark in SEPARATORS):
        remedy = "Take away the quotes around each whole line: they make one cell of it."
    if column == "Target" and _find("Label", header):
        remedy += " The column Label of the 2021 challenge counts other classes: write the labels' names into Target."
    return TableError(
        f"the table has no column {column!r}: its columns are {names}{more}{by}", where=table, remedy=remedy
    )


def _row(
    record: Record,
    columns: Sequence[str],
    places: Sequence[int],
    header: Sequence[str],
    records: Records,
    table: Path,
) -> Row:
    cells = record.cells
    values = tuple(clean(cells[place]) if place < len(cells) else "" for place in places)
    if not record.problem and len(cells) <= len(header) and all(value.isprintable() and value for value in values):
        return Row(record.line, values, record.note)
    what, remedy, line = record.problem, "Correct the row or delete it.", record.line
    if not what and any("\n" in value or "\r" in value for value in values):
        # An id contains no line ends. If a quote is not closed, the lines that it includes are separate rows.
        records.give_back()
        line = records.line
        what = "has a quote that is not closed in its line"
    elif not what and any("\0" in value for value in values):  # from a write that a power failure interrupted
        what = "has a zero byte in it"
    elif not what and not is_empty(cells[len(header) :]):
        what = f"has {len(cells)} cells, and the header names {len(header)}"
        remedy = "Put values that hold the separator in quotes."
    elif not what and not all(values):
        what, remedy = f"has an empty {columns[values.index('')]!r}", "Complete the row or delete it."
    problem = TableError(f"line {line} {what}", where=table, remedy=remedy) if what else None
    return Row(line, values, record.note, problem)


def labels_fingerprint(rows: Iterable[tuple[str, Sequence[int], Sequence[int]]]) -> str:
    """Identify labelled fields: SHA-256, in hexadecimal, of ids, labels in order, and sizes of the planes in bytes."""
    digest = hashlib.sha256()
    for name, labels, sizes in rows:
        digest.update(f"{name} {list(labels)} {list(sizes)}\n".encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def parse_labels(target: str, line: int, table: Path) -> tuple[Label, ...]:
    """Read a cell of the column ``Target``, in the form of the Kaggle set or of the Human Protein Atlas.

    Parameters
    ----------
    target : str
        Class indices separated by spaces, or HPA names separated by ``;``, ``,`` or ``|``.
    line : int
        Its line, for messages.
    table : pathlib.Path
        Its table, for messages.

    Raises
    ------
    TableError
        A label is not one of 0 to 27, and not the name of exactly one of these classes.
    """
    if not _STARTS_WITH_A_NAME.match(target):
        return parse_indices(target, line, table)
    known, unknown = parse_names(target)
    if unknown:
        raise TableError(
            f"line {line} has the label {unknown[0]!r}, which names none of the 28 classes, or more than one",
            where=table,
            remedy="Mend the name, or take out the fields with such labels.",
        )
    return known


def parse_labels_of(scheme: LabelScheme, target: str, line: int, table: Path) -> tuple[AnyLabel, ...]:
    """Read a cell of the column ``Target`` by a label scheme: indices separated by spaces, or names by ``;``.

    Raises
    ------
    TableError
        A label is not one of the scheme.
    """
    if scheme == HPA_2018:
        return parse_labels(target, line, table)
    if _STARTS_WITH_A_NAME.match(target):
        try:
            return tuple(scheme.from_name(name) for name in filter(None, map(str.strip, target.split(";"))))
        except TableError as error:
            raise TableError(f"line {line}: {error.what}", where=table, remedy=error.remedy) from None
    return tuple(scheme[index] for index in _indices(target, len(scheme), line, table))


def parse_indices(target: str, line: int, table: Path) -> tuple[Label, ...]:
    """Read a cell of class indices separated by spaces.

    Parameters
    ----------
    target : str
        The cell.
    line : int
        Its line, for messages.
    table : pathlib.Path
        Its table, for messages.

    Raises
    ------
    TableError
        A label is not one of 0 to 27.
    """
    return tuple(map(Label, _indices(target, len(Label), line, table)))


def _indices(target: str, classes: int, line: int, table: Path) -> list[int]:
    for label in target.split():
        # Python itself refuses numbers of several thousand digits.
        if not label.isdecimal() or len(label) > _LONGEST or int(label) >= classes:
            raise TableError(
                f"line {line} has the label {label!r}",
                where=table,
                remedy=f"Labels are class indices, 0 to {classes - 1}, with spaces between.",
            )
    return list(map(int, target.split()))


def parse_names(target: str) -> tuple[tuple[Label, ...], tuple[str, ...]]:
    """Read a cell of HPA names separated by ``;``, ``,`` or ``|``.

    Returns
    -------
    known : tuple of Label
        The labels that were found, in their order.
    unknown : tuple of str
        Names of none of the 28 classes, or of several.
    """
    known: list[Label] = []
    unknown: list[str] = []
    for name in filter(None, map(str.strip, _NAME_SEPARATORS.split(target))):
        try:
            known.append(Label.from_name(name))
        except TableError:
            unknown.append(name)
    # A target that contains only separators has no label at all.
    return tuple(sorted(set(known))), tuple(unknown) if known or unknown else (target,)
