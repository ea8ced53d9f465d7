"""Read-only access to a result store: results page by page, new results, and how often each label was found."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpa_sdk.errors import OutputError
from hpa_sdk.labels import HPA_2018
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_ledger import IDENTITY, ROW, SCHEME, read_row, read_scheme

_REST = 10  # pause between counts, in multiples of the time that a count took
_INDICES = (
    "json_each(CASE WHEN json_valid(CAST(content AS TEXT)) THEN CAST(content AS TEXT) ELSE '{}' END, '$.indices')"
)
_WARNED = (
    "CASE WHEN json_valid(CAST(content AS TEXT))"
    " THEN coalesce(json_array_length(CAST(content AS TEXT), '$.warnings'), 0) > 0 ELSE 0 END"
)
_MIXED = (
    "json_each(CASE WHEN json_valid(CAST(content AS TEXT)) THEN CAST(content AS TEXT) ELSE '{}' END, '$.cells.mixed')"
)
_PAGE = f"""
SELECT {ROW} FROM results WHERE number < :before
AND (:failed IS NULL OR failed = :failed)
AND (:warned IS NULL OR {_WARNED} = :warned)
AND (:mixed = 0 OR EXISTS (SELECT 1 FROM {_MIXED} WHERE :label IS NULL OR value = :label))
AND (:label IS NULL OR :mixed OR EXISTS (SELECT 1 FROM {_INDICES} WHERE value = :label))
ORDER BY number DESC LIMIT :count
"""  # noqa: S608 - no user input
_LABELS = f"SELECT value, count(*) FROM results, {_INDICES} GROUP BY value"  # noqa: S608 - no user input


@dataclass(frozen=True, slots=True)
class Row:
    """A result, its number, which increases and is never reused, and the identity of the store of this number."""

    number: int
    result: Result
    store: str

    def to_json(self) -> bytes:
        """Return all of it as one JSON object."""
        return b'{"number":%d,"store":"%b",%b' % (self.number, self.store.encode(), self.result.to_json()[1:])


@dataclass(frozen=True, slots=True)
class ResultCounts:
    """How many results there are, how many of them failed, how often each label was found, and the newest number."""

    results: int = 0
    failed: int = 0
    labels: tuple[int, ...] = (0,) * len(HPA_2018)
    newest: int = 0


class ResultView:
    """A ledger, opened for reading only. For any thread; never waits for writers.

    Every method raises `OutputError` if the ledger can't be read.

    Parameters
    ----------
    ledger : pathlib.Path
        A ledger that a `hpa_sdk.results.result_store.ResultStore` has open.

    Attributes
    ----------
    store : str
        The identity of the ledger.
    """

    def __init__(self, ledger: Path) -> None:
        self._path = ledger
        self._lock = threading.Lock()
        with self._typed_errors():
            self._database = sqlite3.connect(
                f"{ledger.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False, isolation_level=None
            )
        try:
            with self._typed_errors():
                found = self._database.execute("SELECT value FROM facts WHERE name = ?", (IDENTITY,)).fetchone()
        except BaseException:
            self._database.close()
            raise
        self.store = str(found[0])
        self._counts = ResultCounts()
        self._counts_version = -1
        self._counts_due = 0.0

    def close(self) -> None:
        """Close the ledger."""
        with self._lock:
            self._database.close()

    def get(self, name: str) -> Row | None:
        """Return the result of an id."""
        rows = self._rows(f"SELECT {ROW} FROM results WHERE id = :name", name=name)  # noqa: S608 - no user input
        return rows[0] if rows else None

    def page(
        self,
        *,
        before: int,
        count: int,
        failed: bool | None = None,
        label: int | None = None,
        warned: bool | None = None,
        mixed: bool = False,
    ) -> list[Row]:
        """Return results, newest first.

        Parameters
        ----------
        before, count : int
            Only results with a lower number, and their maximum count.
        failed, label, warned : optional
            Only those that failed or did not, only those with the label of this index, and only those with warnings or
            without.
        mixed : bool
            Only those in which only some of the cells show a label; with `label`, this one.
        """
        return self._rows(_PAGE, before=before, count=count, failed=failed, label=label, warned=warned, mixed=mixed)

    def after(self, number: int, count: int) -> list[Row]:
        """Return results with a number above this, oldest first."""
        which = "number > :number ORDER BY number LIMIT :count"
        return self._rows(f"SELECT {ROW} FROM results WHERE {which}", number=number, count=count)  # noqa: S608 - as above

    def counts(self) -> ResultCounts:
        """Count the results; if they are many and change all the time, this takes at most a tenth of the time.

        Only the newest number is always up to date.
        """
        with self._lock, self._typed_errors():
            version = self._one("PRAGMA data_version")
            if version == self._counts_version or time.monotonic() < self._counts_due:
                return replace(self._counts, newest=self._newest())
            began = time.monotonic()
            labels = dict(self._database.execute(_LABELS))
            self._counts = ResultCounts(
                results=self._one("SELECT count(*) FROM results"),
                failed=self._one("SELECT count(*) FROM results WHERE failed"),
                labels=tuple(labels.get(index, 0) for index in range(self._classes())),
                newest=self._newest(),
            )
            self._counts_version = version
            self._counts_due = time.monotonic() + _REST * (time.monotonic() - began)
            return self._counts

    def _classes(self) -> int:
        found = self._database.execute("SELECT value FROM facts WHERE name = ?", (SCHEME,)).fetchone()
        return len(read_scheme(None if found is None else found[0], self._path))

    def _newest(self) -> int:
        return self._one("SELECT coalesce(max(number), 0) FROM results")

    def _one(self, statement: str) -> int:
        return int(self._database.execute(statement).fetchone()[0])

    def _rows(self, statement: str, **values: Any) -> list[Row]:  # noqa: ANN401 - what SQLite takes
        with self._lock, self._typed_errors():
            rows = self._database.execute(statement, values).fetchall()
        return [Row(number, read_row(name, content, self._path), self.store) for number, name, content in rows]

    @contextmanager
    def _typed_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OutputError(
                f"the results can't be read ({error})",
                where=self._path,
                remedy="Check that the disk of the ledger is there; the page resumes as soon as it is.",
            ) from error
