"""The record of one review: what a person said about one result, as it was shown."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, get_args

import msgspec

from hpa_sdk.errors import HpaError
from hpa_sdk.files.file_state import escaped
from hpa_sdk.labels import LabelScheme
from hpa_sdk.results.result import Result

Verdict = Literal["right", "wrong", "labels", "unsure", "bad", "withdrawn"]
"""The labels shown are right; they are wrong; the labels named are right instead; the person is not sure; the field is
of no use; an earlier review no longer counts."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

LONGEST_NAME = 200
"""Largest number of characters of a reviewer's name."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


Picture = tuple[tuple[int, int | None, str | None], ...]
"""Sizes, times and checksums of a field's files: another picture under the same id is another field."""


def picture_of(result: Result) -> Picture:
    """Return what tells the picture of a result from another one under the same id; empty if it is not recorded."""
    return tuple((stamp.size, stamp.modified, stamp.sha256) for stamp in result.stamps)


class ReviewError(HpaError):
    """A review can't be accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What one person said about one result.

    Attributes
    ----------
    id : str
        Made by the program that sends the review, 8 to 64 letters, digits, hyphens and underscores. A review that is
        sent again has the same id and is stored once.
    verdict : str
        One of `VERDICTS`.
    labels : tuple of int
        Indices of the classes that the field has: those shown for ``"right"``, those named for ``"labels"`` (none is
        an answer too), else empty.
    reviewer : str
        The person's name, as typed.
    time : str
        When: ISO 8601 in UTC, with milliseconds.
    result : Result
        The result as it was shown, with its labels, thresholds, files and model.
    withdraws : str
        For ``"withdrawn"``: the id of the review that no longer counts.
    """

    id: str
    verdict: Verdict
    labels: tuple[int, ...] = ()
    reviewer: str
    time: str
    result: Result
    withdraws: str = ""

    @property
    def field(self) -> str:
        """The id of the field."""
        return self.result.id

    def to_json(self) -> bytes:
        """Write the record as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes) -> Review:
        """Read a record that `to_json` wrote.

        Raises
        ------
        msgspec.DecodeError
            The text is not such a record.
        """
        return msgspec.json.decode(text, type=cls)

    def checked(self) -> Review:
        """Return the review with its name, time and labels in their one form.

        Raises
        ------
        ReviewError
            A part of it can't be used, or the parts contradict each other.
        """
        if not _ID.fullmatch(self.id):
            raise self._refusal("its id is not made of 8 to 64 letters, digits, hyphens and underscores")
        name = reviewer_name(self.reviewer)
        names = self.result.label_scheme.names
        classes = len(names)
        try:
            LabelScheme(self.result.scheme, names).check()
        except HpaError as error:
            raise self._refusal(error.what) from error
        indices = (*self.labels, *self.result.indices)
        if not all(0 <= index < classes for index in indices):
            raise self._refusal(f"it names a label that is none of the {classes} classes of {self.result.scheme}")
        if self.result.labels != tuple(names[index] for index in self.result.indices):
            raise self._refusal("the names of the labels that were shown are not those of their numbers")
        labels, shown = tuple(sorted(set(self.labels))), tuple(sorted(set(self.result.indices)))
        if self.result.error is not None and self.verdict in {"right", "wrong", "labels"}:
            raise self._refusal("the field has no answer, so nothing about labels can be said of it")
        if self.verdict == "right" and labels != shown:
            raise self._refusal("it calls the answer right, and names other labels than those shown")
        if self.verdict not in {"right", "labels"} and labels:
            raise self._refusal(f"it has labels, which the verdict {self.verdict!r} does not")
        if (self.verdict == "withdrawn") != bool(self.withdraws):
            raise self._refusal("only a withdrawal names the review that it withdraws, and it must")
        # In one form, times sort as texts.
        if (time := _utc(self.time)) is None:
            raise self._refusal(f"its time, {self.time[:40]!r}, is not of the form 2026-01-31T12:00:00+00:00")
        return replace(self, labels=labels, reviewer=name, time=time)

    def check_known(self, known: Review) -> None:
        """Check that a stored review with the same id is this one, which was sent or read again.

        The time may differ, and what only one of them records of the result.

        Raises
        ------
        ReviewError
            It is another review: one of the two would be lost.
        """
        (said, recorded), (known_said, known_recorded) = self._content(), known._content()
        both = ((one, other) for one, other in zip(recorded, known_recorded, strict=True) if one and other)
        if said != known_said or any(one != other for one, other in both):
            raise ReviewError(
                "another review has its id",
                where=f"review {self.id} of {self.field}, stored of {known.field} by {known.reviewer}",
                remedy="Review the field again: each review has an id of its own.",
            )

    def check_withdrawal(self, known: Review | None) -> None:
        """Check that this withdrawal is of a review that the same person gave on the same field.

        Parameters
        ----------
        known : Review or None
            The stored review with the id `withdraws`.

        Raises
        ------
        ReviewError
            There is none, or it is of another person or field.
        """
        if known is None or known.verdict == "withdrawn":
            raise ReviewError("there is no such review to withdraw", where=self.withdraws, remedy="Load it again.")
        if (known.reviewer, known.field) != (self.reviewer, self.field):
            raise ReviewError(
                "a review is withdrawn by the person who gave it, on its own field",
                where=self.withdraws,
                remedy="Give a review of your own instead.",
            )

    def _content(self) -> tuple[tuple[object, ...], tuple[object, ...]]:
        """Return what every record of this review says, and what some record: models and picture, or nothing."""
        result = self.result
        said = self.field, self.verdict, self.labels, self.reviewer, self.withdraws
        models = (result.models, result.views) if result.models else ()
        return (*said, result.scheme, result.model_sha256, result.indices), (models, picture_of(result))

    def _refusal(self, what: str) -> ReviewError:
        return ReviewError(what, where=f"review of {self.result.id}", remedy="Review the field again.")


def reviewer_name(text: str) -> str:
    """Return a reviewer's name as one line, without further spaces, in the one form that Unicode has for it (NFC).

    Raises
    ------
    ReviewError
        It is empty or too long.
    """
    name = " ".join(_CONTROL.sub(" ", unicodedata.normalize("NFC", escaped(text))).split())
    if not 0 < len(name) <= LONGEST_NAME:
        raise ReviewError(
            f"the reviewer's name has {len(name):,} characters", remedy=f"Give a name of 1 to {LONGEST_NAME}."
        )
    return name


def now() -> str:
    """Return the present time, as `Review.time` has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _utc(text: str) -> str | None:
    try:
        time = datetime.fromisoformat(text)
        return None if time.tzinfo is None else time.astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):
        return None
