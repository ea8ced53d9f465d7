"""Settles what the people who reviewed a field say about it: by majority, or not at all."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hpa_sdk.labels import LabelScheme
from hpa_sdk.results.result import Result
from hpa_sdk.review.log import standing
from hpa_sdk.review.queue import in_random_share
from hpa_sdk.review.record import Picture, Review, picture_of

State = Literal["labels", "wrong", "unsure", "bad", "contradictory"]
"""What is settled: the labels; only that the answer is wrong; nothing; that the field is of no use; nothing, because
people contradict each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledField:
    """A field and what is settled about it.

    Attributes
    ----------
    field : str
        Its id.
    picture : tuple
        Its picture, as `picture_of`.
    state : str
        One of `State`.
    labels : frozenset of int
        The labels that it has, if they are settled.
    rejected : frozenset of frozenset of int
        The label sets that people called wrong.
    reviews : tuple of Review
        The newest review of each person, oldest first.
    is_random : bool
        Whether it is of the random share.
    """

    field: str
    picture: Picture
    state: State
    labels: frozenset[int] = frozenset()
    rejected: frozenset[frozenset[int]] = frozenset()
    reviews: tuple[Review, ...]
    is_random: bool

    @property
    def result(self) -> Result:
        """The newest result that was reviewed, of those that say most about their files."""
        results = [review.result for review in reversed(self.reviews)]
        return max(results, key=lambda result: (bool(result.stamps), bool(result.files)))


def settle(reviews: Iterable[Review]) -> list[SettledField]:
    """Settle each field that was reviewed, in the order in which the fields were first reviewed.

    Reviews of another picture or of another label scheme under the same id are of another field.

    One person has one vote on a field, the newest review that was not withdrawn. A label set is settled if more people
    named it than did not: those who named another one, called this one wrong, or called the field bad. Who is not sure
    has no vote.

    Parameters
    ----------
    reviews : iterable of Review
        All reviews, with withdrawals.
    """
    return [_settled(field, picture, own) for (field, picture, _), own in _by_field(standing(reviews)).items()]


def votes(reviews: Iterable[Review]) -> tuple[Review, ...]:
    """Return the newest of the reviews of each person, oldest first."""
    newest: dict[str, Review] = {}
    for review in sorted(reviews, key=lambda one: one.time):  # a stable sort: of one time, the last counts
        newest.pop(review.reviewer, None)
        newest[review.reviewer] = review
    return tuple(newest.values())


def _by_field(reviews: list[Review]) -> dict[tuple[str, Picture, LabelScheme], list[Review]]:
    pictures: dict[str, set[Picture]] = defaultdict(set)
    for review in reviews:
        pictures[review.field].add(picture_of(review.result))
    fields: dict[tuple[str, Picture, LabelScheme], list[Review]] = defaultdict(list)
    for review in reviews:
        picture = picture_of(review.result)
        known = pictures[review.field] - {()}
        # Reviews of earlier results, which have no stamps, are of the only picture that is known. A field that failed
        # has none either, and its files may have been replaced since.
        if not picture and len(known) == 1 and review.result.error is None:
            (picture,) = known
        fields[review.field, picture, review.result.label_scheme].append(review)
    return fields


def _settled(field: str, picture: Picture, reviews: list[Review]) -> SettledField:
    newest = votes(reviews)
    named = Counter(frozenset(vote.labels) for vote in newest if vote.verdict in {"right", "labels"})
    wrong = Counter(frozenset(vote.result.indices) for vote in newest if vote.verdict == "wrong")
    bad = sum(vote.verdict == "bad" for vote in newest)
    state: State = "contradictory"
    labels: frozenset[int] = frozenset()
    for candidate, count in named.items():
        if count > named.total() - count + wrong[candidate] + bad:
            state, labels = "labels", candidate
    if state != "labels":
        if bad > named.total() + wrong.total():
            state = "bad"
        elif not named and not bad:
            state = "wrong" if wrong else "unsure"
    return SettledField(
        field=field,
        picture=picture,
        state=state,
        labels=labels,
        rejected=frozenset(wrong),
        reviews=newest,
        is_random=in_random_share(field),
    )
