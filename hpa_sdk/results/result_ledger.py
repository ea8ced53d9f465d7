"""Stores the results of all fields in one SQLite file, from which a restart resumes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from hpa_sdk.errors import OutputError
from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.files.sqlite_file import SqliteFile
from hpa_sdk.labels import HPA_2018, LabelScheme
from hpa_sdk.results.result import Result, ResultError

_APPLICATION = 0x48504131
_VERSION = 4
_BUSY_TIMEOUT = 30.0  # seconds to wait for another process that writes its result

IDENTITY = "identity"
"""Name of the fact that identifies a ledger."""

SCHEME = "scheme"
"""Name of the fact that gives the label scheme of a ledger."""


def read_scheme(fact: object, ledger: Path) -> LabelScheme:
    """Read the fact `SCHEME` of a ledger.

    Raises
    ------
    OutputError
        It is damaged, so that nobody knows what the numbers of the classes mean.
    """
    if fact is None:
        return HPA_2018
    try:
        name, names = msgspec.json.decode(str(fact), type=tuple[str, tuple[str, ...]])
    except msgspec.DecodeError as error:
        raise OutputError(
            f"the label scheme of the ledger is damaged ({error})",
            where=ledger,
            remedy="Move the ledger away, with the results beside it, and predict the fields again.",
        ) from error
    return LabelScheme(name, names)


_IDENTITY_INODE = "identity_inode"

# Reviews are only added: a review that is withdrawn stays, and another entry says so.
_REVIEWS = """
CREATE TABLE reviews (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    field TEXT NOT NULL,
    withdraws TEXT,
    content BLOB NOT NULL
);
CREATE INDEX reviews_of_field ON reviews (field);
CREATE UNIQUE INDEX reviews_withdrawn ON reviews (withdraws) WHERE withdraws IS NOT NULL;
"""
_TABLES = (
    """
CREATE TABLE results (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    field BLOB,
    failed INTEGER NOT NULL,
    content BLOB NOT NULL,
    has_file INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX results_without_file ON results (number) WHERE NOT has_file;
CREATE INDEX results_failed ON results (number) WHERE failed;
CREATE INDEX results_of_field ON results (field);
CREATE TABLE gone (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE files (name BLOB PRIMARY KEY, field BLOB NOT NULL, size INTEGER NOT NULL, changed INTEGER NOT NULL,
    inode INTEGER, status_changed INTEGER) WITHOUT ROWID;
CREATE INDEX files_of_field ON files (field);
CREATE TABLE facts (name TEXT PRIMARY KEY, value NOT NULL);
"""
    + _REVIEWS
)
_UPGRADES = {
    2: "ALTER TABLE files ADD COLUMN inode INTEGER; ALTER TABLE files ADD COLUMN status_changed INTEGER;",
    3: _REVIEWS,
}


class Ledger(SqliteFile):
    """Results, and the files that were processed, in one SQLite file. For any thread, and for several processes.

    An id has one result: a later one replaces the earlier one and counts as the newest. Every method raises
    `OutputError` if the file can't be read or written, as on a full disk; nothing is half written then. A result that
    is damaged in the file is returned as a failed one, with the reason, and affects no other.

    Parameters
    ----------
    path : pathlib.Path
        The file; created if it is missing.

    Attributes
    ----------
    identity : str
        A random name, created once. Numbers of results have a meaning only together with it. A copy of the file gets a
        new one when it is opened: from then on the two files number their results independently.

    Raises
    ------
    OutputError
        The file can't be opened, is not a ledger, or was written by another version.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            tables=_TABLES,
            application=_APPLICATION,
            version=_VERSION,
            upgrades=_UPGRADES,
            timeout=_BUSY_TIMEOUT,
        )
        try:
            self.identity = self._own_identity()
        except BaseException:
            self.close()
            raise

    @property
    def scheme(self) -> LabelScheme:
        """The classes that the results are of. Earlier versions only had those of 2018."""
        return read_scheme(self.fact(SCHEME), self.path)

    def set_scheme(self, scheme: LabelScheme) -> None:
        """Record the classes that the results are of."""
        self.set_fact(SCHEME, msgspec.json.encode((scheme.name, scheme.names)).decode())

    def add(self, *results: Result, field: str = "") -> bool:
        """Add results, and return whether they replace earlier ones: those of their ids, and all of their field.

        Results of the field under other ids, as of a stack that had more scenes, are listed by `removed` from then on.
        """
        earlier = self._names("DELETE FROM results WHERE field = ? RETURNING {id}", os.fsencode(field) or None)
        for result in results:
            earlier += self._names("DELETE FROM results WHERE id = ? RETURNING {id}", result.id)
            self.rows(
                "INSERT INTO results (id, field, failed, content) VALUES (?, ?, ?, ?)",
                *(result.id, os.fsencode(field) or None, result.error is not None, result.to_json()),
            )
        for name in earlier:
            self.rows("INSERT OR IGNORE INTO gone (id) VALUES (?)", name)
        for result in results:
            self.discard_removed(result.id)
        return bool(earlier)

    def removed(self) -> list[str]:
        """Return the ids that have no result any more, and may still have a file."""
        return self._names("SELECT {id} FROM gone")

    def discard_removed(self, name: str) -> None:
        """Record that an id without a result has no file either, or has a result again."""
        self.rows("DELETE FROM gone WHERE id = ?", name)

    def get(self, name: str) -> Result | None:
        """Return the result of an id."""
        return next((result for _, result in self._results("WHERE id = ?", name)), None)

    def newest(self, count: int) -> list[Result]:
        """Return the newest results, newest first."""
        return [result for _, result in self._results("ORDER BY number DESC LIMIT ?", count)]

    def after(self, number: int, count: int) -> list[tuple[int, Result]]:
        """Return the results after a number, oldest first, with their numbers, which increase and are never reused."""
        return self._results("WHERE number > ? ORDER BY number LIMIT ?", number, count)

    def count(self, *, failed: bool = False) -> int:
        """Count the results, or those of them that failed."""
        return int(self.rows(f"SELECT count(*) FROM results {'WHERE failed' * failed}")[0][0])  # noqa: S608

    def without_file(self, count: int, after: int = 0) -> list[tuple[int, Result]]:
        """Return results that have no file of their own yet, oldest first, with their numbers."""
        return self._results("WHERE NOT has_file AND number > ? ORDER BY number LIMIT ?", after, count)

    def ids_without_file(self) -> list[str]:
        """Return the ids of all results that have no file of their own yet."""
        return self._names("SELECT {id} FROM results WHERE NOT has_file")

    def answered_ids(self) -> list[str]:
        """Return the ids of all results that did not fail."""
        return self._names("SELECT {id} FROM results WHERE NOT failed")

    def has_below(self, folder: str) -> bool:
        """Whether a result has an id below a folder, such as ``"plate 1"`` for ``"plate 1/A01"``."""
        first, last = f"{folder}/", folder + chr(ord("/") + 1)
        return bool(self.rows("SELECT 1 FROM results WHERE id > ? AND id < ? LIMIT 1", first, last))

    def set_has_file(self, number: int) -> None:
        """Record that a result has its file."""
        self.rows("UPDATE results SET has_file = 1 WHERE number = ?", number)

    def stamp(self, name: str) -> FileStamp | None:
        """Return the stamp that a file had when it was processed; None if it never was."""
        rows = self.rows("SELECT size, changed, inode, status_changed FROM files WHERE name = ?", os.fsencode(name))
        return FileStamp(*rows[0]) if rows else None

    def files_of(self, field: str) -> list[str]:
        """Return the names of the files of a field that were processed."""
        return [
            os.fsdecode(name) for (name,) in self.rows("SELECT name FROM files WHERE field = ?", os.fsencode(field))
        ]

    def set_done(self, field: str, stamps: Mapping[str, FileStamp]) -> None:
        """Record that files of a field, by their names, are processed in their present state."""
        for name, stamp in stamps.items():
            self.rows(
                "INSERT OR REPLACE INTO files (name, field, size, changed, inode, status_changed)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                *(os.fsencode(name), os.fsencode(field), stamp.size, stamp.modified, stamp.inode, stamp.changed),
            )

    def fact(self, name: str) -> str | int | None:
        """Return the value stored under a name; None if there is none."""
        rows = self.rows("SELECT value FROM facts WHERE name = ?", name)
        value: str | int | None = rows[0][0] if rows else None
        return value

    def set_fact(self, name: str, value: str | int) -> None:
        """Store a value under a name."""
        self.rows("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", name, value)

    def _own_identity(self) -> str:
        try:
            inode = FileStamp.of_status(self.path.stat()).inode or 0
        except OSError:  # moved away at this moment
            inode = 0
        found = self._identity(inode)
        if found is None:
            with self.transaction():
                found = self._identity(inode)  # another process may have been first
                if found is None:
                    found = secrets.token_hex(8)
                    self.set_fact(IDENTITY, found)
                    self.set_fact(_IDENTITY_INODE, inode)
        return found

    def _identity(self, inode: int) -> str | None:
        found, stored_inode = self.fact(IDENTITY), self.fact(_IDENTITY_INODE)
        copied = stored_inode not in {inode, 0} and inode != 0  # 0: the file system has no such numbers
        return None if found is None or copied else str(found)

    def _results(self, which: str, *values: object) -> list[tuple[int, Result]]:
        rows = self.rows(f"SELECT {ROW} FROM results {which}", *values)  # noqa: S608 - no user input
        return [(number, read_row(name, content, self.path)) for number, name, content in rows]

    def _names(self, statement: str, *values: object) -> list[str]:
        """Return the ids that a statement finds; what is no text in a damaged one is escaped, and costs no other."""
        return [_text(name) for (name,) in self.rows(statement.format(id="CAST(id AS BLOB)"), *values)]


ROW = "number, CAST(id AS BLOB), CAST(content AS BLOB)"
"""The columns that `read_row` reads: as bytes, because SQLite's driver refuses all rows for one damaged text."""


def read_row(name: bytes, content: bytes, path: Path) -> Result:
    """Return the result of a row of a ledger; for a damaged row a failed one, which says so.

    Parameters
    ----------
    name, content : bytes
        The id and the content of the row.
    path : pathlib.Path
        The ledger.
    """
    try:
        result = Result.from_json(content)
        if result.id.encode() == name:
            return result
        why = "its row and its content name different fields"
    except msgspec.DecodeError as error:
        why = str(error)
    damage = ResultError(
        f"its result is damaged in the ledger ({why})",
        str(path),
        "Write its files anew and it is answered again, or predict it with 'hpa predict'.",
    )
    return Result(id=_text(name), error=damage, model_sha256="", device="", time="")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
