"""Stores reviews in the ledger of a result store, so that they outlast restarts, kills and changes of the model."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from hpa_sdk.files.file_state import escaped
from hpa_sdk.results.result_ledger import Ledger
from hpa_sdk.review.record import VERDICTS, Review, ReviewError, now

_log = logging.getLogger("hpa_sdk")
_ALL = 2**62


@dataclass(frozen=True, slots=True)
class Entry:
    """A review and its number, which increases from review to review of one ledger and is never reused."""

    number: int
    review: Review


@dataclass(frozen=True, slots=True)
class DamagedEntry:
    """An entry that is damaged in the ledger.

    Attributes
    ----------
    number : int
        Its number.
    id, field : str
        Those of its review, as far as they can be read, with what is no text escaped.
    what : str
        Why it can't be used, and what follows.
    reviewer : str
        Who gave it; empty if that can't be read.
    withdraws : str
        The id of the review that it withdraws, if it still says it: that review stays withdrawn.
    unclear : bool
        Whether it is a withdrawal that does not say any more of which review.
    """

    number: int
    id: str
    field: str
    what: str
    reviewer: str = ""
    withdraws: str = ""
    unclear: bool = False


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some entries in their order; `following` is the number after which the next ones come, None after the last.

    A damaged withdrawal that still says which review it withdraws is in both lists.
    """

    entries: list[Entry]
    damaged: list[DamagedEntry]
    following: int | None


class ReviewLog:
    """The reviews in a ledger. For any thread, and for several processes.

    Entries are only added. A review that is withdrawn stays, followed by an entry that says so. Every method raises
    `OutputError` if the ledger can't be read or written.

    Parameters
    ----------
    ledger : Ledger
        The ledger of a result store.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def add(self, review: Review) -> Entry:
        """Add a review, and return it once the disk has it. One that is sent again is stored once.

        Raises
        ------
        ReviewError
            It can't be used, is of another label scheme than the results, has the id of another review, or withdraws
            what is not that person's review.
        """
        with self._ledger.transaction(durable=True):
            return self._add(review.checked())

    def add_all(self, reviews: Iterable[Review]) -> list[Entry | ReviewError]:
        """Add reviews with one wait for the disk, and return the entry of each, or why it is not added."""
        outcomes: list[Entry | ReviewError] = []
        with self._ledger.transaction(durable=True):
            for review in reviews:
                try:
                    outcomes.append(self._add(review.checked()))
                except ReviewError as error:
                    outcomes.append(error)
        return outcomes

    def get(self, name: str) -> Entry | None:
        """Return the review of an id; None if there is none, or it is damaged."""
        found = self._one("WHERE id = ?", name)
        return None if found is None else found.entry

    def after(self, number: int) -> list[Entry]:
        """Return all entries after a number, oldest first."""
        return self.page(number).entries

    def page(self, number: int, count: int = _ALL, *, field: str | None = None) -> LogPage:
        """Return entries after a number, oldest first.

        Parameters
        ----------
        number : int
            Only entries with a larger number: `LogPage.following` of the page before.
        count : int
            How many to read, damaged ones too.
        field : str, optional
            Only those about the field of this id.
        """
        which, chosen = ("", ()) if field is None else ("field = ? AND ", (field,))
        read = self._read(f"WHERE {which}number > ? ORDER BY number LIMIT ?", *chosen, number, count)
        return LogPage(
            entries=[row.entry for row in read if row.entry is not None],
            damaged=[row.damaged for row in read if row.damaged is not None],
            following=read[-1].number if len(read) == count else None,
        )

    def newest(self) -> int:
        """Return the number of the newest entry; 0 if there is none."""
        return int(self._ledger.rows("SELECT coalesce(max(number), 0) FROM reviews")[0][0])

    def _add(self, review: Review) -> Entry:
        if (known := self._one("WHERE id = ?", review.id)) is not None:
            stored = _readable(known)
            review.check_known(stored.review)
            return stored
        if review.verdict == "withdrawn":
            if (known := self._one("WHERE withdraws = ?", review.withdraws)) is not None:
                return _readable(known)
            withdrawn = self.get(review.withdraws)
            review.check_withdrawal(None if withdrawn is None else withdrawn.review)
        elif review.result.label_scheme != self._ledger.scheme and self._ledger.count():
            raise ReviewError(
                f"it is of the label scheme {review.result.scheme}, and the results here are of"
                f" {self._ledger.scheme.name}",
                where=f"review of {review.field}",
                remedy="Name the store of its own model.",
            )
        # The clock of a computer may be ahead: what a person says from now on has to be newer.
        review = replace(review, time=min(review.time, now()))
        self._ledger.rows(
            "INSERT INTO reviews (id, field, withdraws, content) VALUES (?, ?, ?, ?)",
            *(review.id, review.field, review.withdraws or None, review.to_json()),
        )
        return Entry(int(self._ledger.rows("SELECT last_insert_rowid()")[0][0]), review)

    def _one(self, which: str, value: str) -> _Row | None:
        return next(iter(self._read(which, value)), None)

    def _read(self, which: str, *values: object) -> list[_Row]:
        rows: list[_Row] = []
        columns = ", ".join(f"CAST({column} AS BLOB)" for column in ("id", "field", "withdraws", "content"))
        for number, *row in self._ledger.rows(f"SELECT number, {columns} FROM reviews {which}", *values):  # noqa: S608 - no user input
            try:
                rows.append(_Row(number, Entry(number, _review_of(*row)), None))
            except (ReviewError, msgspec.DecodeError) as error:
                why = error.what if isinstance(error, ReviewError) else str(error)
                rows.append(self._damaged(number, row, why))
        return rows

    def _damaged(self, number: int, row: list[Any], why: str) -> _Row:
        name, field = (part.decode("utf-8", "backslashreplace") for part in row[:2])
        withdraws, content = row[2], _decoded(row[3])
        entry = self._withdrawal(number, name, withdraws, content)
        verdict = content.get("verdict")
        unclear = entry is None and (verdict == "withdrawn" or (withdraws is not None and verdict not in VERDICTS))
        follows = "review the field again"
        if entry is not None:
            follows = "it still says which review it withdraws, and that one stays withdrawn"
        elif unclear:
            follows = "it is a withdrawal and does not say any more of which review: withdraw that again"
        damaged = DamagedEntry(
            number,
            name,
            field,
            f"{why}; {follows}",
            reviewer=escaped(str(content.get("reviewer", ""))) if entry is None else entry.review.reviewer,
            withdraws="" if entry is None else entry.review.withdraws,
            unclear=unclear,
        )
        _log.warning(
            "%s: the review %s of the field %s is damaged%s (%s).",
            *(self._ledger.path, escaped(name), escaped(field)),
            *("" if entry else " and does not count", escaped(damaged.what)),
        )
        return _Row(number, entry, damaged)

    def _withdrawal(self, number: int, name: str, withdraws: bytes | None, content: dict[str, object]) -> Entry | None:
        """Make a damaged withdrawal anew from its review, if the row or the content still names that."""
        for target in ((withdraws or b"").decode("utf-8", "replace"), content.get("withdraws")):
            if not isinstance(target, str) or not target:
                continue
            # No damage makes the id of another review. Only earlier rows: damaged ones could name each other.
            for found in self._read("WHERE id = ? AND number < ?", target, number):
                if found.damaged is None and found.entry is not None and found.entry.review.verdict != "withdrawn":
                    known = found.entry.review
                    return Entry(number, replace(known, id=name, verdict="withdrawn", labels=(), withdraws=known.id))
        return None


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the ledger: its entry, what is damaged of it, or both."""

    number: int
    entry: Entry | None
    damaged: DamagedEntry | None


def _decoded(content: bytes) -> dict[str, object]:
    """Return what a damaged content still says; nothing if it is no JSON any more."""
    try:
        return msgspec.json.decode(content, type=dict[str, object])
    except (UnicodeDecodeError, msgspec.DecodeError):
        return {}


def _review_of(name: bytes, field: bytes, withdraws: bytes | None, content: bytes) -> Review:
    """Read a row. A damaged part makes the row differ from its content, or the content from what can be a review."""
    review = Review.from_json(content).checked()
    stored = name, field, withdraws or b""
    if stored != tuple(text.encode() for text in (review.id, review.field, review.withdraws)):
        raise ReviewError("its row and its content name different reviews", where=None, remedy="Review it again.")
    return review


def standing(reviews: Iterable[Review]) -> list[Review]:
    """Return the reviews that count: without withdrawals and those that were withdrawn, in the same order."""
    listed = list(reviews)
    withdrawn = {review.withdraws for review in listed if review.verdict == "withdrawn"}
    return [review for review in listed if review.verdict != "withdrawn" and review.id not in withdrawn]


def _readable(known: _Row) -> Entry:
    if known.entry is not None:
        return known.entry
    raise ReviewError(
        "it is stored already, and is damaged in the ledger",
        where=None if known.damaged is None else known.damaged.id,
        remedy="Review the field again: of the reviews of a person, the newest counts.",
    )
