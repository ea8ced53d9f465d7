"""Stores one row per field in an SQLite file as answers arrive, so that an interruption loses none of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpa_sdk.files.sqlite_file import SqliteFile

_LONGEST_WAIT = 1.0  # seconds until a row is written, and so survives the end of the process
_FACTS = "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);"


class RowLedger:
    """Rows by the key of their field. For one thread at a time; one process has exclusive use of the file.

    Parameters
    ----------
    path : pathlib.Path
        The file; created if it is missing.
    table : str
        The table of rows.
    columns : mapping of str to str
        The columns behind the key, which is called ``place``, and their SQL types.
    application, version, upgrades
        As for `SqliteFile`.

    Raises
    ------
    OutputError
        As for `SqliteFile`, here and from every method.
    """

    def __init__(
        self,
        path: Path,
        *,
        table: str,
        columns: Mapping[str, str],
        application: int,
        version: int,
        upgrades: Mapping[int, str] | None = None,
    ) -> None:
        described = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        tables = f"CREATE TABLE {table} (place BLOB NOT NULL UNIQUE, {described});{_FACTS}"
        self._file = SqliteFile(path, tables=tables, application=application, version=version, upgrades=upgrades)
        # The names are those of the code, and none that a user gives.
        self._select = f"SELECT {', '.join(columns)} FROM {table} WHERE place = ?"  # noqa: S608
        self._insert = f"INSERT OR REPLACE INTO {table} VALUES (?{', ?' * len(columns)})"  # noqa: S608
        self._pending: dict[bytes, tuple[Any, ...]] = {}
        self._flushed_at = time.monotonic()

    def close(self) -> None:
        """Write the pending rows, and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()

    def replace_fact(self, name: str, value: str) -> str | None:
        """Store a value under a name, and return the previous value."""
        rows = self._file.rows("SELECT value FROM facts WHERE name = ?", name)
        self._file.rows("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", name, value)
        return str(rows[0][0]) if rows else None

    def flush(self) -> None:
        """Write the pending rows."""
        rows = [(key, *row) for key, row in self._pending.items()]
        self._file.add_rows(self._insert, rows)
        self._pending = {}
        self._flushed_at = time.monotonic()

    def _row(self, key: bytes) -> tuple[Any, ...] | None:
        return self._pending.get(key) or next(iter(self._file.rows(self._select, key)), None)

    def _record(self, key: bytes, *row: object) -> None:
        """Record a row; if more follow, it is written after a second at the latest."""
        self._pending[key] = row
        if time.monotonic() - self._flushed_at >= _LONGEST_WAIT:
            self.flush()
