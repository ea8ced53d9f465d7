"""Opens an SQLite file of this project, with the same handling of errors, versions and transactions everywhere."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hpa_sdk.errors import OutputError


class SqliteFile:
    """One SQLite file with known tables. Thread-safe.

    Every method raises `OutputError` if the file can't be read or written, for example on a full disk. A write is then
    undone completely.

    Parameters
    ----------
    path : pathlib.Path
        The file. It is created if it is missing.
    tables : str
        The SQL statements that create its tables.
    application : int
        The number that identifies the file type.
    version : int
        The version of the tables.
    upgrades : mapping of int to str, optional
        For each older version: the SQL statements that upgrade a file to the next version.
    timeout : float or None
        Seconds to wait while another process writes. None: this process locks the file until it is closed. The
        operating system releases the lock when the process ends, for any reason.

    Raises
    ------
    OutputError
        The file can't be opened, is of another type or version, or is locked by another process.
    """

    def __init__(
        self,
        path: Path,
        *,
        tables: str,
        application: int,
        version: int,
        upgrades: Mapping[int, str] | None = None,
        timeout: float | None = None,
    ) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._typed_errors():
            self._database = sqlite3.connect(path, timeout=timeout or 0, isolation_level=None, check_same_thread=False)
        try:
            if timeout is None:
                self.rows("PRAGMA locking_mode = EXCLUSIVE")
            self._open(tables, (application, version), upgrades or {})
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """Write everything in the block, or nothing. Other processes wait until the block ends.

        Parameters
        ----------
        durable : bool
            Whether to wait until the disk has it, so that a power failure does not lose it either.
        """
        with self._lock, self._typed_errors():
            if durable:
                self._database.execute("PRAGMA synchronous = FULL")
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self._database.commit()
                except BaseException:
                    self._database.rollback()
                    raise
            finally:
                if durable:
                    self._database.execute("PRAGMA synchronous = NORMAL")

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Execute a statement and return the rows that it finds."""
        with self._lock, self._typed_errors():
            return self._database.execute(statement, values).fetchall()

    def add_rows(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Execute a statement for each row, all or none."""
        with self.transaction():
            self._database.executemany(statement, rows)

    def _open(self, tables: str, form: tuple[int, int], upgrades: Mapping[int, str]) -> None:
        # With these settings a commit does not wait for the disk, and readers never wait. A power failure may lose the
        # last entries, which are then made again. If the disk does not support WAL, SQLite stays in its slower mode.
        if self._form() in {None, form, *((form[0], version) for version in upgrades)}:
            self.rows("PRAGMA journal_mode = WAL")
            self.rows("PRAGMA synchronous = NORMAL")
        with self.transaction():
            if self._form() is None:
                self._make(tables, form)
            # One version at a time, all or none: an interrupted upgrade leaves the file unchanged.
            while (found := self._form()) is not None and found[0] == form[0] and found[1] in upgrades:
                self._make(upgrades[found[1]], (form[0], found[1] + 1))
        if self._form() != form:
            raise OutputError(
                f"this is no ledger of version {form[1]}, the one that this version of hpa_sdk keeps",
                where=self.path,
                remedy="Move it away, with the results beside it, or use the hpa_sdk that wrote it. It is unchanged.",
            )

    def _make(self, statements: str, form: tuple[int, int]) -> None:
        for statement in statements.split(";")[:-1]:
            self.rows(statement)
        self.rows(f"PRAGMA application_id = {form[0]}")
        self.rows(f"PRAGMA user_version = {form[1]}")

    def _form(self) -> tuple[int, int] | None:
        form = self.rows("PRAGMA application_id")[0][0], self.rows("PRAGMA user_version")[0][0]
        return None if form == (0, 0) and not self.rows("SELECT 1 FROM sqlite_master LIMIT 1") else form

    @contextmanager
    def _typed_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            # Errors of Python's own module, such as a damaged text, have no code.
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                raise self._unusable(error) from error
            raise OutputError(
                "another process is at work with this ledger",
                where=self.path,
                remedy="Wait until it is done, end it, or name another output.",
            ) from error
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: sqlite3.Error) -> OutputError:
        return OutputError(
            f"the ledger can't be used ({error})",
            where=self.path,
            remedy="Check that its disk is there, writable and not full; a damaged ledger has to be moved away,"
            " with the results beside it.",
        )
