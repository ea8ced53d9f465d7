"""The queue begins with what teaches most, and one in five is drawn without regard to what a field shows."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np

from hpa_sdk.results.result import ResultError
from hpa_sdk.review.queue import Candidate, in_random_share, offers, random_position
from tests.hpa_sdk.review.made_reviews import result_of

NAMES = [f"field-{at}" for at in range(400)]
OUTSIDE = [name for name in NAMES if not in_random_share(name)]


def candidate(**changes: object) -> Candidate:
    found = Candidate.of(1, result_of("a", **changes))  # type: ignore[arg-type]
    assert found is not None
    return found


def placed(candidates: dict[str, Candidate]) -> dict[str, Candidate]:
    """Give each candidate the place of its name."""
    return {name: replace(one, position=random_position(name)) for name, one in candidates.items()}


def queue(candidates: dict[str, Candidate], **known: object) -> list[tuple[str, bool]]:
    options = {"own": set(), "others": set(), "disputed": set(), "done": 0} | known
    return [(offer.field, offer.is_random) for offer in offers(placed(candidates), **options)]  # type: ignore[arg-type]


def test_disputes_come_first_then_near_warned_and_rare() -> None:
    sure = candidate()
    near = candidate(probabilities=(0.51,) + (0.1,) * 27)
    warned = candidate(warnings=("out of focus",))
    rare = candidate(shown=(27,))
    ordinary, disputed, close, flagged, seldom = OUTSIDE[:5]
    fields = dict.fromkeys(OUTSIDE[5:60], sure) | {ordinary: sure, close: near, flagged: warned, seldom: rare}
    fields[disputed] = sure
    found = queue(fields, disputed={disputed}, others={disputed})
    assert [name for name, _ in found[:4]] == [
        disputed,
        close,
        *sorted({flagged, seldom}, key=[n for n, _ in found].index),
    ]
    (first, *_) = offers(placed(fields), own=set(), others=set(), disputed=set(), done=0)
    assert first.reasons == ("near a threshold",)


def test_every_fifth_is_of_the_random_share() -> None:
    fields = dict.fromkeys(NAMES, candidate())
    found = queue(fields)
    assert [is_random for _, is_random in found[:20]] == [False, False, False, False, True] * 4
    assert sorted(name for name, _ in found) == sorted(NAMES)
    # It continues where the person is, after a reload of the page too.
    assert queue(fields, done=4)[0][1]
    assert all(in_random_share(name) == is_random for name, is_random in found[:100])
    assert 0.14 < sum(map(in_random_share, NAMES)) / len(NAMES) < 0.26


def test_the_random_share_does_not_depend_on_what_fields_show() -> None:
    rng = np.random.default_rng(0)
    margins = {name: float(rng.random()) for name in NAMES}
    fields = {name: candidate(probabilities=(0.5 + margins[name] / 2,) + (0.0,) * 27) for name in NAMES}
    drawn = [margins[name] for name, is_random in islice(queue(fields), 300) if is_random]
    taught = [margins[name] for name, is_random in islice(queue(fields), 60) if not is_random]
    assert abs(np.mean(drawn) - 0.5) < 0.12
    assert np.mean(taught) < 0.25


def test_others_reviews_are_repeated_in_the_random_share_alone() -> None:
    fields = dict.fromkeys(NAMES, candidate())
    found = queue(fields, others=set(NAMES))
    assert found
    assert all(is_random for _, is_random in found)
    assert queue(fields, own=set(NAMES)) == []


def test_failed_fields_are_not_offered() -> None:
    assert Candidate.of(1, result_of("a", error=ResultError("broken", None, "Repair it."))) is None
