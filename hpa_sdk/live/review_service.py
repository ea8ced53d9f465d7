"""Handles the reviews of the page: which fields to offer, what people said, and how good each model is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

from hpa_sdk.live.answered_files import ChangedError
from hpa_sdk.live.result_view import ResultView, Row
from hpa_sdk.live.review_records import FiguresOfModel, ReviewRequest, WithdrawalRequest
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_ledger import Ledger
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.review.consensus import SettledField, settle
from hpa_sdk.review.figures import judge_models
from hpa_sdk.review.log import Entry, LogPage, ReviewLog
from hpa_sdk.review.queue import Candidate, Offer, offers
from hpa_sdk.review.record import Picture, Review, ReviewError, now, picture_of, reviewer_name

_ROWS_AT_ONCE = 500


class ReviewService:
    """The reviews of one store. For any thread; every method may wait for the disk.

    Parameters
    ----------
    store : ResultStore
        The results, in whose ledger reviews are stored.
    view : ResultView
        Reads the results.

    Raises
    ------
    OutputError
        The ledger can't be opened.
    """

    def __init__(self, store: ResultStore, view: ResultView) -> None:
        self._store = store
        self._view = view
        self._log = ReviewLog(store.ledger)
        # Readers need a connection of their own: that of the store is busy while files of results are written.
        self._reader = Ledger(store.ledger.path)
        self._read_log = ReviewLog(self._reader)
        self._lock = threading.Lock()
        self._candidates: dict[str, Candidate] = {}
        self._pictures: dict[str, Picture] = {}
        self._seen = 0
        self._reviewed = 0
        self._reviews: dict[str, list[Review]] = {}
        self._fields: dict[str, list[SettledField]] = {}
        self._results: dict[str, Row] = {}
        self._figures: tuple[tuple[int, int], list[FiguresOfModel]] | None = None

    def close(self) -> None:
        """Close what it reads from."""
        self._reader.close()

    def add(self, asked: ReviewRequest) -> Entry:
        """Store a review of a result as it is now.

        Raises
        ------
        ReviewError
            The review can't be used.
        ChangedError
            The field was answered again since it was shown to the person.
        """
        if (known := self._log.get(asked.id)) is not None:
            # The response to the first request was lost; the field may have been answered again since.
            return self._log.add(self._review(asked, replace(known.review.result, id=asked.field)))
        row = self._view.get(asked.field)
        if row is None:
            raise ReviewError("there is no such field any more", where=asked.field, remedy="Review another one.")
        if (row.store, row.number) != (asked.store, asked.number):
            raise ChangedError(
                "this field was answered again since it was shown, and the review is of the earlier answer",
                where=asked.field,
                remedy="Look at the present answer, and review that.",
            )
        return self._log.add(self._review(asked, row.result))

    def withdraw(self, asked: WithdrawalRequest) -> Entry:
        """Withdraw a review.

        Raises
        ------
        ReviewError
            There is no such review, or it is of another person.
        """
        known = self._log.get(asked.withdraws)
        if known is None:
            raise ReviewError("there is no such review", where=asked.withdraws, remedy="Load the page again.")
        return self._log.add(
            Review(
                id=asked.id,
                verdict="withdrawn",
                reviewer=asked.reviewer,
                time=now(),
                result=known.review.result,
                withdraws=asked.withdraws,
            )
        )

    def page(self, number: int, count: int, field: str | None = None) -> LogPage:
        """Return entries after a number, of one field or of all, oldest first."""
        return self._read_log.page(number, count, field=field)

    def newest(self) -> int:
        """Return the number of the newest entry."""
        return self._read_log.newest()

    def offer(self, reviewer: str, count: int) -> list[tuple[Offer, Row]]:
        """Return the next fields that a person should review, in order, with their present results."""
        name = reviewer_name(reviewer)
        with self._lock:
            self._read_new()
            fields, candidates = list(filter(self._is_present, self._all_fields())), dict(self._candidates)
        own = {field.field for field in fields if any(review.reviewer == name for review in field.reviews)}
        queue = offers(
            candidates,
            own=own,
            # Where nobody knew the labels, another person may.
            others={field.field for field in fields if field.state not in {"unsure", "wrong"}},
            disputed={field.field for field in fields if field.state == "contradictory"},
            done=len(own),
        )
        found: list[tuple[Offer, Row]] = []
        for offer in queue:
            row = self._view.get(offer.field)
            if row is not None and row.result.error is None:  # it may be gone since
                found.append((offer, row))
            if len(found) == count:
                break
        return found

    def figures(self) -> list[FiguresOfModel]:
        """Return the figures of each model on the reviewed fields, and on those of the random share alone."""
        with self._lock:
            self._read_new()
            state = self._reviewed, self._seen
            if self._figures is None or self._figures[0] != state:
                self._figures = state, list(self._judged())
            return self._figures[1]

    def _judged(self) -> Iterator[FiguresOfModel]:
        scheme = self._store.scheme
        own = self._all_fields()
        results = [row.result for field in own if (row := self._present(field.field))]
        drawn = {
            one.model: one
            for one in judge_models([field for field in own if field.is_random], results, len(scheme), resamples=0)
        }
        for one in judge_models(own, results, len(scheme), resamples=0):
            share = drawn.get(one.model)
            yield FiguresOfModel(
                model=one.model,
                reviewed=one.reviewed,
                right=one.right,
                micro_f1=one.micro_f1.value,
                macro_f1=one.macro_f1.value,
                random_reviewed=share.reviewed if share else 0,
                random_right=share.right if share else 0,
                random_micro_f1=share.micro_f1.value if share else None,
                adapted=one.adapted,
                other_reviewed=one.others.reviewed if one.others else 0,
                other_right=one.others.right if one.others else 0,
                other_micro_f1=one.others.micro_f1.value if one.others else None,
            )

    def _read_new(self) -> None:
        while rows := self._view.after(self._seen, _ROWS_AT_ONCE):
            for row in rows:
                self._add_candidate(row)
            self._seen = rows[-1].number
        changed = set()
        new = self._read_log.page(self._reviewed)
        for entry in new.entries:
            self._reviews.setdefault(entry.review.field, []).append(entry.review)
            changed.add(entry.review.field)
        # A damaged review is read, and reported, once.
        read = [entry.number for entry in new.entries] + [entry.number for entry in new.damaged]
        self._reviewed = max([self._reviewed, *read])
        for field in changed:
            self._fields[field] = settle(self._reviews[field])

    def _all_fields(self) -> list[SettledField]:
        """Return the reviewed fields whose labels are of the scheme of the store."""
        scheme = self._store.scheme
        return [field for settled in self._fields.values() for field in settled if field.result.label_scheme == scheme]

    def _is_present(self, field: SettledField) -> bool:
        """Whether a field was answered when it was reviewed, and has the same picture now, as far as that is known."""
        present = self._pictures.get(field.field, ())
        return field.result.error is None and (field.picture == present or () in {field.picture, present})

    def _present(self, field: str) -> Row | None:
        """Return the present result of a field, read again only if it has a new one."""
        candidate, row = self._candidates.get(field), self._results.get(field)
        if candidate is not None and (row is None or row.number != candidate.number):
            row = self._view.get(field)
            if row is not None:
                self._results[field] = row
        return None if candidate is None else row

    def _add_candidate(self, row: Row) -> None:
        candidate = Candidate.of(row.number, row.result)
        if candidate is None:
            self._candidates.pop(row.result.id, None)
        else:
            self._candidates[row.result.id] = candidate
            self._pictures[row.result.id] = picture_of(row.result)

    @staticmethod
    def _review(asked: ReviewRequest, result: Result) -> Review:
        return Review(
            id=asked.id,
            verdict=asked.verdict,
            labels=result.indices if asked.verdict == "right" else tuple(asked.labels),
            reviewer=asked.reviewer,
            time=now(),
            result=result,
        )
