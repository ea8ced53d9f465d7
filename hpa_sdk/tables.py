"""Reads named columns and labels of a comma-separated table, with errors that name the line."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from hpa_sdk.errors import TableError
from hpa_sdk.labels import Label

_LONGEST = 100  # digits of a label, which may begin with zeros
_NAME_SEPARATORS = re.compile(r"[;,|]")
_STARTS_WITH_A_NAME = re.compile(r"[;,|\s]*[^\W\d_]")


def read_columns(table: Path, *columns: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Read some columns of a table, row by row.

    Parameters
    ----------
    table : pathlib.Path
        A UTF-8 comma-separated file with a header line.
    *columns : str
        The columns to read, as the header names them.

    Yields
    ------
    line : int
        Number of the row's last line in the file, from 1, for messages.
    values : tuple of str
        One value for each of `columns`, without spaces around; never empty.

    Raises
    ------
    TableError
        The table is missing or is no UTF-8 text, a column is missing, a cell is empty, or there is no row.
    """
    line = 0
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = [column for column in columns if column not in (rows.fieldnames or [])]
            if missing:
                raise TableError(
                    f"the table has no column {missing[0]!r}",
                    where=table,
                    remedy=f"Its first line should name {','.join(columns)}, as in the Kaggle set.",
                )
            for row in rows:
                line = rows.line_num
                values = tuple((row[column] or "").strip() for column in columns)
                if not all(values):
                    raise TableError(
                        f"line {line} has an empty {columns[values.index('')]!r}",
                        where=table,
                        remedy="Complete the row or delete it.",
                    )
                yield line, values
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(
            f"the table can't be read ({error})", where=table, remedy="Name a UTF-8 comma-separated file."
        ) from error
    if not line:
        raise TableError("the table has no row", where=table, remedy="Name a table with at least one field.")


def parse_labels(target: str, line: int, table: Path) -> tuple[Label, ...]:
    """Read a cell of the column ``Target``, in the Kaggle set's form or in the Human Protein Atlas's own.

    Parameters
    ----------
    target : str
        Class indices with spaces between, or HPA names with ``;``, ``,`` or ``|`` between.
    line : int
        Its line, for messages.
    table : pathlib.Path
        Its table, for messages.

    Raises
    ------
    TableError
        A label is none of 0 to 27, and the name of none of these classes or of several.
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


def parse_indices(target: str, line: int, table: Path) -> tuple[Label, ...]:
    """Read a cell of class indices with spaces between.

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
        A label is none of 0 to 27.
    """
    for label in target.split():
        # Python itself refuses numbers of some thousand digits.
        if not label.isdecimal() or len(label) > _LONGEST or int(label) >= len(Label):
            raise TableError(
                f"line {line} has the label {label!r}",
                where=table,
                remedy=f"Labels are the Kaggle set's class indices, 0 to {len(Label) - 1}, with spaces between.",
            )
    return tuple(Label(int(label)) for label in target.split())


def parse_names(target: str) -> tuple[tuple[Label, ...], tuple[str, ...]]:
    """Read a cell of HPA names with ``;``, ``,`` or ``|`` between.

    Returns
    -------
    known : tuple of Label
        The labels that are meant, in their order.
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
    # A target of nothing but separators names no label at all.
    return tuple(sorted(set(known))), tuple(unknown) if known or unknown else (target,)
