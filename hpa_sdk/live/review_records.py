"""Request and response types of reviews, from which their description is made too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from hpa_sdk.labels import MOST_LABELS
from hpa_sdk.live.records import NumberedResult
from hpa_sdk.review.log import DamagedEntry
from hpa_sdk.review.record import LONGEST_NAME, Review

_Id = Annotated[str, Field(min_length=8, max_length=64, pattern="^[A-Za-z0-9_-]+$")]
_Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
_LONGEST_ID = 4096
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRequest:
    """What a person says about a result.

    Attributes
    ----------
    id : str
        Random, and made by the client: a request that is sent again with the same id is stored once.
    field : str
        The field's id.
    number, store
        Those of the result that was shown to the person.
    verdict : str
        ``right``, ``wrong``, ``labels`` (those named are right instead), ``unsure``, or ``bad`` (a field of no use).
    labels : list of int
        For ``labels``: the indices of the right classes; can be empty.
    reviewer : str
        The person's name.
    """

    id: _Id
    field: Annotated[str, Field(max_length=_LONGEST_ID)]
    number: Annotated[int, Field(ge=0, le=_LARGEST)]
    store: str
    verdict: Literal["right", "wrong", "labels", "unsure", "bad"]
    reviewer: _Name
    labels: Annotated[list[Annotated[int, Field(ge=0, lt=MOST_LABELS)]], Field(max_length=MOST_LABELS)] = ()  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalRequest:
    """A review that no longer counts.

    Attributes
    ----------
    id : str
        As for `ReviewRequest`.
    withdraws : str
        The id of the review.
    store : str
        The store that it is in.
    reviewer : str
        The person who gave it.
    """

    id: _Id
    withdraws: _Id
    store: str
    reviewer: _Name


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedReview(Review):
    """A review, with its number and the store that the number belongs to, as for results."""

    number: int
    store: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPage:
    """Some reviews, oldest first.

    Attributes
    ----------
    reviews : list of NumberedReview
        The reviews.
    damaged : list of DamagedEntry
        Entries between them that are damaged in the ledger. They do not count, but for withdrawals that still name
        their review.
    next : int or None
        The value of `after` for those that follow; None if there are no more.
    store : str
        The identity of the store, to be sent as `store` with `after`.
    """

    reviews: list[NumberedReview]
    damaged: list[DamagedEntry]
    next: int | None
    store: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A field to review: its present result, why it comes now, and whether as one of the random share."""

    result: NumberedResult
    reasons: tuple[str, ...]
    random: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedPage:
    """The next fields to review, in order."""

    fields: list[Offered]
    store: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresOfModel:
    """How good a model is on reviewed fields.

    Attributes
    ----------
    model : str
        SHA-256 of its file, in hexadecimal; of an ensemble, of its models and views together.
    reviewed, right : int
        Number of fields on which people decided, and on how many of them it gave exactly their labels.
    micro_f1, macro_f1 : float or None
        On the fields whose labels people settled on.
    random_reviewed, random_right, random_micro_f1
        The same on the fields of the random share alone.
    adapted : int
        To how many of the reviewed fields the model was adapted: the figures are too good by them.
    other_reviewed, other_right, other_micro_f1
        The same on the other reviewed fields, if it was adapted to some and enough others are left.
    """

    model: str
    reviewed: int
    right: int
    micro_f1: float | None
    macro_f1: float | None
    random_reviewed: int
    random_right: int
    random_micro_f1: float | None
    adapted: int
    other_reviewed: int
    other_right: int
    other_micro_f1: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FiguresPage:
    """The figures of each model, the one with the most reviewed fields first, and the newest number of a review."""

    models: list[FiguresOfModel]
    newest: int
    store: str
