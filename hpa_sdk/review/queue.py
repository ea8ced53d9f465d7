"""Orders fields for review: those that teach most first, and a random share on which figures can be computed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from hpa_sdk.results.result import Result

RANDOM_EVERY = 5
"""One in so many fields belongs to the random share, and so does every fifth field that is offered."""

_SHARE = 1 / RANDOM_EVERY
_NEAR = 0.2  # distance of a probability from its threshold
_NEAR_TEXT, _WARNED, _RARE, _DISPUTED, _RANDOM = (
    "near a threshold",
    "has warnings",
    "rare class",
    "people disagree",
    "random share",
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A field that can be reviewed: its number in the store, and what its order depends on."""

    number: int
    position: float
    margin: float
    warned: bool
    labels: tuple[int, ...]

    @classmethod
    def of(cls, number: int, result: Result) -> Candidate | None:
        """Return the candidate of a result; None for a field that failed, about whose labels nothing can be said."""
        if result.error is not None:
            return None
        pairs = zip(result.probabilities, result.thresholds, strict=False)
        margin = min((abs(probability - threshold) for probability, threshold in pairs), default=1.0)
        return cls(number, random_position(result.id), margin, bool(result.warnings), result.indices)


@dataclass(frozen=True, slots=True)
class Offer:
    """A field that is offered for review.

    Attributes
    ----------
    field : str
        Its id.
    reasons : tuple of str
        Why it comes now.
    is_random : bool
        Whether it comes as one of the random share.
    """

    field: str
    reasons: tuple[str, ...]
    is_random: bool = False


def random_position(field: str) -> float:
    """Return a number from 0 to 1 that depends on nothing but the field's id, and not on what the field shows."""
    return int.from_bytes(hashlib.sha256(f"review\0{field}".encode("utf-8", "replace")).digest()[:6]) / 2**48


def in_random_share(field: str) -> bool:
    """Whether a field belongs to the random share: one field in `RANDOM_EVERY`, chosen by its id alone.

    Fields of the share are offered in random order and never because they teach much. So the reviewed fields of the
    share are a random sample of all fields, apart from those that people picked by hand.
    """
    return random_position(field) < _SHARE


def offers(
    candidates: Mapping[str, Candidate],
    *,
    own: Collection[str],
    others: Collection[str],
    disputed: Collection[str],
    done: int,
) -> Iterator[Offer]:
    """Yield the fields that one person should review, in order.

    Parameters
    ----------
    candidates : mapping of str to Candidate
        All fields with an answer.
    own, others : collection of str
        The fields that this person has reviewed, and those of which anybody has named the labels, or said that they
        are of no use. Fields outside the random share are decided once, unless people disagree; those of the share by
        everyone, which shows how far people agree.
    disputed : collection of str
        The fields on which people contradict each other.
    done : int
        How many reviews this person has given: every `RANDOM_EVERY`-th is one of the random share.

    Yields
    ------
    Offer
        Until all fields are offered.
    """
    shared: list[tuple[float, str]] = []
    counts = Counter(label for candidate in candidates.values() for label in candidate.labels)
    most = max(counts.values(), default=1)
    teaching = []
    for field, candidate in candidates.items():
        if field in own:
            continue
        if candidate.position < _SHARE:
            shared.append((candidate.position, field))
        elif field in disputed or field not in others:
            gain, reasons = _gain(candidate, counts, most, is_disputed=field in disputed)
            teaching.append((-gain, candidate.position, Offer(field, reasons)))
    teaching.sort(key=lambda entry: entry[:2])
    taught = (offer for _, _, offer in teaching)
    drawn = (Offer(field, (_RANDOM,), is_random=True) for _, field in sorted(shared))
    for position in count(done + 1):
        first, second = (drawn, taught) if position % RANDOM_EVERY == 0 else (taught, drawn)
        offer = next(first, None) or next(second, None)
        if offer is None:
            return
        yield offer


def _gain(candidate: Candidate, counts: Counter[int], most: int, *, is_disputed: bool) -> tuple[float, tuple[str, ...]]:
    """Return how much a review may teach, 0 to 4.5, and why: a sum of four signs, in which disputes come first."""
    near = max(0.0, 1 - candidate.margin / _NEAR)
    rare = 1 - min((counts[label] for label in candidate.labels), default=most) / most
    signs = (
        (2.0 * is_disputed, _DISPUTED, is_disputed),
        (near, _NEAR_TEXT, near > 0),
        (0.75 * candidate.warned, _WARNED, candidate.warned),
        (0.75 * rare, _RARE, rare > 0.9),  # noqa: PLR2004 - a tenth of the most frequent class
    )
    return sum(gain for gain, _, _ in signs), tuple(text for _, text, holds in signs if holds)
