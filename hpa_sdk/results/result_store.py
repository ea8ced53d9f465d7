"""Stores the results of one workstation, for all programs that make or show them.

The ledger is the primary record. The JSON file of each field and the table of all fields are derived from it, and are
written again if an interruption left them outdated.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from hpa_sdk.errors import OutputError
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.labels import LabelScheme
from hpa_sdk.results.result import Result, columns
from hpa_sdk.results.result_ledger import Ledger

LEDGER, TABLE = "hpa-results.sqlite", "hpa-results.csv"
"""Names of the ledger and of the table of all results."""

UPLOADS = "hpa-uploads"
"""Name of the folder for what clients of the live page send, in the folder for results."""

_FILES_AT_ONCE, _ROWS_AT_ONCE = 50, 500
_LONGEST_NAME, _PREFIX = 120, 40
_NONE, _OUTDATED = -1, -2  # instead of the table's size
# Characters that Windows does not allow in file names, and its reserved names.
_REFUSED = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f]|[. ]$|^\.|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)', re.IGNORECASE)

PARTIAL = re.compile(r"\.[0-9a-f]{8}\..*\.(?:json|csv)")
"""Names of partial files, as `hpa_sdk.files.atomic_write` gives them."""


class ResultStore:
    """The results of one workstation. For any thread, and for several processes on one computer.

    An id has one result; a later one replaces the earlier one, in the files too. The same holds for the ids of one
    field: results that are added for it replace all that it had.

    Parameters
    ----------
    folder : pathlib.Path
        Folder for the JSON files, named by id, and for the table. Must exist.
    ledger : pathlib.Path, optional
        The ledger's file. Default: `LEDGER` in the folder. If that is a network share, name a file on a local disk.

    Attributes
    ----------
    scheme : LabelScheme
        The classes that the results are of.

    Raises
    ------
    OutputError
        The folder does not exist, the ledger can't be used, or the folder contains a table of another ledger.
    """

    def __init__(self, folder: Path, *, ledger: Path | None = None) -> None:
        if not folder.is_dir():
            raise OutputError("no such folder", where=folder, remedy="Make it, or name another one for results.")
        self.folder = folder
        self.table = folder / TABLE
        self.ledger = Ledger(ledger or folder / LEDGER)
        if self.ledger.fact("table_size") is None and self.table.exists():
            self.ledger.close()
            raise OutputError(
                "a table of results is here already, and it is not of this ledger",
                where=self.table,
                remedy="Move it away, bring back the ledger that was beside it, or name another folder for results.",
            )
        try:
            self.scheme = self.ledger.scheme
        except BaseException:
            self.ledger.close()
            raise

    def set_scheme(self, scheme: LabelScheme) -> None:
        """Set the classes that the results are of: those of the model that will answer.

        Raises
        ------
        OutputError
            There are results of other classes.
        """
        with self.ledger.transaction():
            known = self.ledger.scheme
            if scheme != known and self.ledger.count():
                raise OutputError(
                    f"the results here are of the label scheme {known.name}, and the model answers with {scheme.name}",
                    where=self.folder,
                    remedy="Name another folder for results.",
                )
            if scheme != known:
                self.ledger.set_scheme(scheme)
        self.scheme = scheme

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    def add(self, *results: Result, field: str = "", files: Mapping[str, FileStamp] | None = None) -> None:
        """Add results to the ledger, all or none; `publish` then writes their files.

        Parameters
        ----------
        *results : Result
            The results.
        field, files : optional
            A hot folder's field that is complete with these results, and its files as they were read.

        Raises
        ------
        OutputError
            The ledger can't be written.
        """
        with self.ledger.transaction():
            if self.ledger.add(*results, field=field):
                self.ledger.set_fact("table_size", _OUTDATED)
            self.ledger.set_done(field, files or {})

    def publish(self) -> None:
        """Write the missing JSON files and table rows of all results; what can't be written is left for later.

        Raises
        ------
        OutputError
            Something could not be written; everything else was. Nothing is lost: call again.
        """
        errors = [*self._remove_files(), *self._write_files(), *self._write_table()]
        if errors:
            raise errors[0]

    def remove_partials(self) -> None:
        """Remove the partial files of processes that were killed while they wrote.

        Raises
        ------
        OutputError
            The folder or the ledger can't be used.
        """
        # All writing happens inside a transaction, so partial files that are found inside one belong to no process any
        # more. A killed process was writing the table, or a result that has no file yet.
        with self.ledger.transaction():
            folders = {self.folder, *(self.json_path(name).parent for name in self.ledger.ids_without_file())}
            try:
                for folder in filter(Path.is_dir, folders):
                    for name in filter(PARTIAL.fullmatch, os.listdir(folder)):  # noqa: PTH208 - no Path for each
                        (folder / name).unlink()
            except OSError as error:
                raise _unwritable(self.folder, error) from error

    def get(self, name: str) -> Result | None:
        """Return the result of an id."""
        return self.ledger.get(name)

    def newest(self, count: int) -> list[Result]:
        """Return the newest results, newest first."""
        return self.ledger.newest(count)

    def after(self, number: int, count: int = _ROWS_AT_ONCE) -> list[tuple[int, Result]]:
        """Return the results after a number, oldest first, with their numbers: the new ones since the last call."""
        return self.ledger.after(number, count)

    def count(self, *, failed: bool = False) -> int:
        """Count the results, or those of them that failed."""
        return self.ledger.count(failed=failed)

    def json_path(self, name: str) -> Path:
        """Return the path of an id's JSON file, which is in the folder or below it for every id."""
        parts = [_safe(part) for part in name.split("/")]
        return self.folder.joinpath(*parts[:-1], f"{parts[-1]}.json")

    # These write inside a transaction: other processes wait, so that no older result overwrites a newer one, and an
    # interrupted write counts as not done and is repeated.

    def _remove_files(self) -> list[OutputError]:
        errors: list[OutputError] = []
        with self.ledger.transaction():
            for name in self.ledger.removed():
                path = self.json_path(name)
                try:
                    path.unlink(missing_ok=True)
                    self.ledger.discard_removed(name)
                except OSError as error:
                    errors.append(_unwritable(path, error))
        return errors

    def _write_files(self) -> list[OutputError]:
        errors: list[OutputError] = []
        number = 0
        while True:
            with self.ledger.transaction():
                batch = self.ledger.without_file(_FILES_AT_ONCE, after=number)
                failed = 0
                for number, result in batch:
                    try:
                        _write_json(self.json_path(result.id), result)
                        self.ledger.set_has_file(number)
                    except OutputError as error:
                        errors.append(error)
                        failed += 1
            # If none of them can be written, the cause is the folder, not a name.
            if failed == len(batch):
                return errors

    def _write_table(self) -> list[OutputError]:
        try:
            with self.ledger.transaction():
                number = int(self.ledger.fact("table_number") or 0)
                # Earlier versions had other columns.
                as_left = self.ledger.fact("table_size"), self.ledger.fact("table_columns")
                head = columns(self.scheme)
                if as_left == (_size(self.table), ",".join(head)):
                    if not self.ledger.after(number, 1):
                        return []
                    with self.table.open("ab") as file:
                        number = self._write_rows(file, number)
                else:
                    with atomic_write(self.table) as partial, partial.open("wb") as file:
                        file.write(_line(head))
                        number = self._write_rows(file, 0)
                self.ledger.set_fact("table_number", number)
                self.ledger.set_fact("table_size", _size(self.table))
                self.ledger.set_fact("table_columns", ",".join(head))
        except OutputError as error:
            return [error]
        except OSError as error:
            return [_unwritable(self.table, error)]
        return []

    def _write_rows(self, file: BinaryIO, number: int) -> int:
        while batch := self.ledger.after(number, _ROWS_AT_ONCE):
            file.write(b"".join(_line(result.to_row(self.scheme)) for _, result in batch))
            number = batch[-1][0]
        file.flush()
        os.fsync(file.fileno())
        return number


def _write_json(path: Path, result: Result) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as partial:
            partial.write_bytes(msgspec.json.format(result.to_json(), indent=2))
    except OSError as error:
        raise _unwritable(path, error) from error


def _line(row: Iterable[object]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(row)
    return line.getvalue().encode()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else _NONE


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"the result can't be written ({error.strerror})",
        where=path,
        remedy="Check that its folder is there and writable, its disk not full, and that no program holds it open."
        " It is written as soon as it can be.",
    )


def _safe(part: str) -> str:
    name = _REFUSED.sub("_", part)
    if name and name == part and len(part.encode()) <= _LONGEST_NAME:
        return name
    # Different names that become equal here must not share a file.
    return f"{name[:_PREFIX]}-{hashlib.sha256(part.encode()).hexdigest()[:12]}"
