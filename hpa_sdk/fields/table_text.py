"""Reads the records of a text table in the variants that spreadsheets and people save: encodings, line ends, quotes."""

from __future__ import annotations

import codecs
import csv
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hpa_sdk.errors import TableError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""The possible cell separators, with their names for messages."""

OTHER_ENCODING = "cp1252"
"""Encoding of lines that are not UTF-8: that of spreadsheets on Windows in Western Europe and America."""

_LONGEST = 100  # lines of one record, because a quote that is never closed would include the rest of the table
_EDGES = " \t\r\n\v\f\x1a\xa0\u200b\u200e\u200f\u2007\u202f\u3000\ufeff"  # spaces, direction marks, BOM, DOS end mark
_NOTHING = f'{_EDGES}"{"".join(SEPARATORS)}'
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # starts like that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(start: bytes) -> str:
    """Find the Unicode encoding of a text from its first bytes: by its byte order mark, or the positions of zero bytes.

    Parameters
    ----------
    start : bytes
        Its first four bytes, or all if it has fewer.
    """
    for mark, encoding in _BOMS:
        if start.startswith(mark):
            return encoding
    # A header starts with a letter, a quote or a space: one byte in UTF-8, two in UTF-16.
    if start[1:2] == b"\0" and start[:1] != b"\0":
        return "utf-16-le"
    return "utf-16-be" if start[:1] == b"\0" and start[1:2] not in {b"", b"\0"} else "utf-8"


def open_text(path: Path) -> IO[str]:
    """Open a text with its line ends unchanged. Bytes that are not in its encoding affect only their own line.

    Raises
    ------
    TableError
        The file is a spreadsheet workbook.
    OSError
        The file can't be read.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(_WORKBOOKS):
        raise TableError(
            "this is a workbook of a spreadsheet or an archive, not a text",
            where=path,
            remedy="Save the sheet as CSV (in Excel: Save As, CSV UTF-8), and name that file.",
        )
    encoding = encoding_of(start)
    return path.open(encoding=encoding, errors="surrogateescape" if "8" in encoding else "replace", newline="")


def clean(cell: str) -> str:
    """Return the content of a cell: without surrounding spaces and invisible marks, or the quotes of ``="0007"``."""
    cell = cell.strip(_EDGES)
    # People write this so that a spreadsheet does not remove leading zeros.
    return cell[2:-1].strip(_EDGES) if cell.startswith('="') and cell.endswith('"') and len(cell) > 2 else cell  # noqa: PLR2004


def is_empty(cells: Iterable[str]) -> bool:
    """Whether all cells are empty: spreadsheets write such rows for parts of the sheet that were used before."""
    return not any(cell.strip(_NOTHING) for cell in cells)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a table.

    Attributes
    ----------
    line : int
        Number of its last line in the file, from 1.
    cells : list of str
        Their content.
    problem : str
        Why it can't be used. Empty if it can.
    note : str
        How it was read, if not as UTF-8.
    """

    line: int
    cells: list[str]
    problem: str = ""
    note: str = ""


class Records:
    """The records of a text, one after the other. A broken record does not affect the others.

    Parameters
    ----------
    lines : iterable of str
        The lines, with their ends.
    separator : str
        The cell separator.
    line : int
        How many lines of the file come before them.
    """

    def __init__(self, lines: Iterable[str], separator: str, *, line: int = 0) -> None:
        self._lines = _Lines(lines, line)
        self._separator = separator
        self._rows = self._reader(self._lines)

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        lines = self._lines
        lines.record.clear()
        problem = ""
        try:
            cells = next(self._rows)
        except csv.Error as error:
            unclosed = len(lines.record) > 1 or "unexpected end" in str(error)
            if unclosed:
                problem = "has a quote that is not closed"
            lines.give_back()
            cells = self._cells_of_line(lines.record[0])
            if not cells:
                problem = f"can't be read ({error})"
            self._rows = self._reader(lines)
        faults = {fault for _, fault in lines.record if fault}
        if faults - {_NOTE}:
            problem = problem or "is neither UTF-8 nor Windows-1252 text"
        return Record(lines.number, cells, problem, _NOTE if faults and not problem else "")

    @property
    def line(self) -> int:
        """Number of the last line that was read."""
        return self._lines.number

    def give_back(self) -> None:
        """Read the lines of the last record again, except its first, each as the start of its own record."""
        self._lines.give_back()

    def _reader(self, lines: Iterable[str], *, strict: bool = True) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self._separator, strict=strict, skipinitialspace=True)

    def _cells_of_line(self, line: tuple[str, str]) -> list[str]:
        try:
            return next(self._reader([line[0]], strict=False), [])
        except csv.Error:  # a cell that does not end
            return []


_NOTE = f"its row in the table is not UTF-8, and was read as {OTHER_ENCODING.replace('cp', 'Windows-')}"


class _Lines:
    """The lines of a text, decoded one by one. Some of them can be read again.

    Attributes
    ----------
    record : list of tuple of str
        The lines that were read since it was cleared, each with its problem.
    number : int
        How many lines were read.
    """

    def __init__(self, lines: Iterable[str], number: int) -> None:
        self._lines = iter(lines)
        self._again: deque[tuple[str, str]] = deque()
        self.record: list[tuple[str, str]] = []
        self.number = number

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.record) == _LONGEST:
            raise csv.Error("unexpected end")
        line = self._again.popleft() if self._again else _decoded(next(self._lines))
        self.record.append(line)
        self.number += 1
        return line[0]

    def give_back(self) -> None:
        """Put back all lines of `record`, except the first."""
        self.number -= len(self.record) - 1
        self._again.extendleft(reversed(self.record[1:]))
        del self.record[1:]


def _decoded(line: str) -> tuple[str, str]:
    """Return a line as text, and a remark on its encoding."""
    if line.isascii():
        return line, ""
    try:
        line.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8 were escaped as surrogates
        try:
            return line.encode(errors="surrogateescape").decode(OTHER_ENCODING), _NOTE
        except UnicodeDecodeError:
            return line, "no text"
    return line, ""
