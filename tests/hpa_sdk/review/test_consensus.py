"""What several people say about a field is settled by majority, and contradictions settle nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.results.result import ResultError
from hpa_sdk.review.consensus import settle
from tests.hpa_sdk.review.made_reviews import OWN_SCHEME, result_of, review_of, withdrawal_of

SHOWN = result_of("a", (0,))


def said(*verdicts: object) -> tuple[str, list[int]]:
    """Settle the verdicts of different people: a word, or the labels that they name."""
    reviews = [
        review_of(SHOWN, verdict, by=f"person {at}")  # type: ignore[arg-type]
        if isinstance(verdict, str)
        else review_of(SHOWN, "labels", verdict, by=f"person {at}")  # type: ignore[arg-type]
        for at, verdict in enumerate(verdicts)
    ]
    (field,) = settle(reviews)
    return field.state, sorted(field.labels)


@pytest.mark.parametrize(
    ("verdicts", "state", "labels"),
    [
        (["right"], "labels", [0]),
        ([(1, 2)], "labels", [1, 2]),
        ([()], "labels", []),
        (["right", (0,)], "labels", [0]),
        (["right", (1,)], "contradictory", []),
        (["right", "right", (1,)], "labels", [0]),
        (["right", "right", (1,), "wrong"], "contradictory", []),
        (["wrong"], "wrong", []),
        (["wrong", (1,)], "labels", [1]),
        (["right", "wrong"], "contradictory", []),
        (["right", "unsure", "unsure"], "labels", [0]),
        (["unsure"], "unsure", []),
        (["bad"], "bad", []),
        (["bad", "bad", "right"], "bad", []),
        (["bad", "right"], "contradictory", []),
    ],
)
def test_the_majority_settles_a_field(verdicts: list[object], state: str, labels: list[int]) -> None:
    assert said(*verdicts) == (state, labels)


def test_the_newest_review_of_a_person_counts() -> None:
    old, new = review_of(SHOWN), review_of(SHOWN, "labels", (3,))
    assert [field.labels for field in settle([old, new])] == [{3}]
    # An imported review can be older than one that is here already.
    assert [field.labels for field in settle([new, old])] == [{3}]
    assert [field.labels for field in settle([old, new, withdrawal_of(new)])] == [{0}]
    assert settle([old, withdrawal_of(old)]) == []


def test_another_picture_under_the_same_id_is_another_field() -> None:
    first = replace(SHOWN, files=("a.png",), stamps=(FileStamp(10, 1),))
    second = replace(SHOWN, files=("a.png",), stamps=(FileStamp(10, 2),))
    assert len(settle([review_of(first), review_of(second, "wrong", by="Bob")])) == 2
    # A review without the state of the files is of the only picture that is known.
    assert len(settle([review_of(first), review_of(SHOWN, "wrong", by="Bob")])) == 1


def test_labels_of_another_scheme_are_no_vote() -> None:
    own = result_of("a", (0,), scheme=OWN_SCHEME)
    fields = settle([review_of(SHOWN), review_of(own, "wrong", by="Bob")])
    assert [(field.result.scheme, field.state) for field in fields] == [("hpa-2018", "labels"), ("own", "wrong")]


def test_a_review_of_a_failed_field_is_no_vote_on_a_picture() -> None:
    failed = result_of("a", (), error=ResultError("it is cut off", None, ""))
    read = replace(SHOWN, files=("a.png",), stamps=(FileStamp(10, 1),))
    fields = settle([review_of(failed, "bad"), review_of(read, by="Bob")])
    assert [field.state for field in fields] == ["bad", "labels"]
