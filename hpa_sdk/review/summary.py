"""Sums up the reviews of a store: counts, agreement between people, and the figures of each model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpa_sdk.labels import LabelScheme
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.review.agreement import PairAgreement, agreement
from hpa_sdk.review.consensus import SettledField, settle
from hpa_sdk.review.figures import ModelFigures, is_of_cells, judge_models
from hpa_sdk.review.log import DamagedEntry, LogPage, ReviewLog, standing
from hpa_sdk.review.queue import in_random_share
from hpa_sdk.review.record import Review


@dataclass(frozen=True, slots=True, kw_only=True)
class UnclearWithdrawal:
    """A damaged withdrawal that does not say any more which review it withdraws.

    Attributes
    ----------
    field : str
        The field, as far as it can be read.
    people : tuple of str
        Those of whom a review that counts may have been withdrawn by it.
    """

    field: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedStore:
    """The reviews of a store, and what people settled on.

    Attributes
    ----------
    scheme : LabelScheme
        The classes of the store.
    reviews : tuple of Review
        All reviews and withdrawals, oldest first.
    damaged : tuple of DamagedEntry
        The entries that are damaged in the ledger.
    unclear : tuple of UnclearWithdrawal
        Withdrawals of which the ledger does not say any more what they withdraw.
    fields : tuple of SettledField
        The reviewed fields whose labels are of this scheme.
    other_fields : tuple of SettledField
        Those of other schemes.
    results : tuple of Result
        The present results of the reviewed fields.
    """

    scheme: LabelScheme
    reviews: tuple[Review, ...]
    damaged: tuple[DamagedEntry, ...]
    unclear: tuple[UnclearWithdrawal, ...]
    fields: tuple[SettledField, ...]
    other_fields: tuple[SettledField, ...]
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures on some fields: states of the fields, and each model's figures."""

    fields: int
    states: dict[str, int]
    models: list[ModelFigures]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What ``hpa review status`` reports.

    Attributes
    ----------
    scheme : str
        Name of the label scheme of the store.
    names : tuple of str
        Names of its classes.
    reviews, withdrawn : int
        Number of reviews that count, and of those that were withdrawn.
    damaged : int
        Number of entries that are damaged in the ledger. They do not count, but for those of `kept_withdrawals`.
    kept_withdrawals : int
        Of these, the withdrawals that still say which review they withdraw: that review stays withdrawn.
    unclear_withdrawals : list of UnclearWithdrawal
        Of these, the withdrawals that do not say it any more, so that a withdrawn review may count again.
    of_cells : int
        Number of reviews that count and are of labels that were made of the answers for cells: they settle labels, and
        are in no figure of a model.
    verdicts, people : dict of str to int
        Number of reviews that count, by verdict and by reviewer.
    other_schemes : dict of str to int
        Number of reviewed fields whose labels are of other schemes; they are in no figure.
    gone : int
        Number of reviewed fields that have no result in the store any more.
    random_share : int
        Number of fields with an answer that belong to the random share.
    all, random : Figures
        On all reviewed fields, and on those of the random share alone.
    agreement : list of PairAgreement
        How far every two people agree.
    """

    scheme: str
    names: tuple[str, ...]
    reviews: int
    withdrawn: int
    damaged: int
    kept_withdrawals: int
    unclear_withdrawals: list[UnclearWithdrawal]
    of_cells: int
    verdicts: dict[str, int]
    people: dict[str, int]
    other_schemes: dict[str, int]
    gone: int
    random_share: int
    all: Figures
    random: Figures
    agreement: list[PairAgreement]


def read_reviewed(store: ResultStore) -> ReviewedStore:
    """Read all reviews of a store.

    Raises
    ------
    OutputError
        The ledger can't be read.
    """
    page = ReviewLog(store.ledger).page(0)
    reviews = tuple(entry.review for entry in page.entries)
    settled = settle(reviews)
    found = (store.get(name) for name in {review.field for review in reviews})
    return ReviewedStore(
        scheme=store.scheme,
        reviews=reviews,
        damaged=tuple(page.damaged),
        unclear=tuple(_unclear(page)),
        fields=tuple(field for field in settled if field.result.label_scheme == store.scheme),
        other_fields=tuple(field for field in settled if field.result.label_scheme != store.scheme),
        results=tuple(result for result in found if result is not None),
    )


def summarise(store: ResultStore) -> Summary:
    """Sum up the reviews of a store.

    Raises
    ------
    OutputError
        The ledger can't be read.
    """
    known = read_reviewed(store)
    counted = standing(known.reviews)
    present = {result.id for result in known.results}
    return Summary(
        scheme=known.scheme.name,
        names=known.scheme.names,
        reviews=len(counted),
        withdrawn=sum(review.verdict == "withdrawn" for review in known.reviews),
        damaged=len(known.damaged),
        kept_withdrawals=sum(bool(entry.withdraws) for entry in known.damaged),
        unclear_withdrawals=list(known.unclear),
        of_cells=sum(is_of_cells(review.result) for review in counted),
        verdicts=dict(Counter(review.verdict for review in counted).most_common()),
        people=dict(Counter(review.reviewer for review in counted).most_common()),
        other_schemes=dict(Counter(field.result.scheme for field in known.other_fields)),
        gone=len({field.field for field in (*known.fields, *known.other_fields)} - present),
        random_share=sum(map(in_random_share, store.ledger.answered_ids())),
        all=_figures(known.fields, known),
        random=_figures([field for field in known.fields if field.is_random], known),
        agreement=agreement(known.fields, len(known.scheme)),
    )


def _unclear(page: LogPage) -> Iterator[UnclearWithdrawal]:
    """Find whose reviews may have been withdrawn by damaged entries: those on the field, if any is on a field of it."""
    counted = {review.id for review in standing(entry.review for entry in page.entries)}
    for damaged in page.damaged:
        if not damaged.unclear:
            continue
        before = [one.review for one in page.entries if one.number < damaged.number and one.review.id in counted]
        known_field = any(entry.review.field == damaged.field for entry in page.entries)
        before = [one for one in before if not known_field or one.field == damaged.field]
        known_person = any(entry.review.reviewer == damaged.reviewer for entry in page.entries)
        people = {one.reviewer for one in before if not known_person or one.reviewer == damaged.reviewer}
        if people:
            yield UnclearWithdrawal(field=damaged.field, people=tuple(sorted(people)))


def _figures(fields: Sequence[SettledField], known: ReviewedStore) -> Figures:
    return Figures(
        fields=len(fields),
        states=dict(Counter(field.state for field in fields).most_common()),
        models=judge_models(fields, known.results, len(known.scheme)),
    )
