"""Tables and files of reviews are read back as they were, and are safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpa_sdk.errors import OutputError, TableError
from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.results.result import ResultError
from hpa_sdk.review.log import Entry, ReviewLog
from hpa_sdk.review.queue import in_random_share
from hpa_sdk.review.record import Review, ReviewError
from hpa_sdk.review.tables import add_to_review_file, read_reviews, write_review_file, write_review_table
from tests.hpa_sdk.review.made_reviews import OWN_SCHEME, result_of, review_of, store_of, withdrawal_of

NAMES = ["Anna", "=1+1", "'=1+1", "''@x", "+49", "\uff1d1", "-", "a;b,c", 'says "no"', "名前", "\tx", "<b>", " =x"]


def some_reviews() -> list[Review]:
    seen = result_of(
        "plate 1/=field;x",
        (0, 25),
        files=("C:\\a;b_red.png", "/home/é/a_green.png"),
        stamps=(FileStamp(5, 6, 7, 8), FileStamp(9, None, None, None)),
        channels=("red", "green"),
        notes=("z 3; of 5",),
    )
    reviews = [review_of(seen, by=name).checked() for name in NAMES]
    own = review_of(result_of("b", (1,), scheme=OWN_SCHEME), "labels", (0, 2))
    lines = review_of(result_of("c\nd"), "wrong")
    failed = review_of(result_of("f", (), error=ResultError("=it is cut off", None, "")), "bad")
    ensemble = result_of("g", model_sha256="c" * 64, models=("a" * 64, "b" * 64), views=8)
    return [*reviews, own, lines, review_of(ensemble), review_of(result_of(" e"), "bad"), failed, withdrawal_of(own)]


def comparable(review: Review) -> Review:
    """Leave out what a table does not have: probabilities, device and time of the result."""
    return replace(review, result=replace(review.result, probabilities=(), device="", time=""))


def test_a_table_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    reviews = [comparable(review) for review in some_reviews()]
    write_review_table(reviews, path)
    assert list(read_reviews(path)) == [review.checked() for review in reviews]


def test_the_column_random_marks_the_random_share(tmp_path: Path) -> None:
    write_review_table([review_of(result_of(f"f{at}")) for at in range(30)], tmp_path / "reviews.csv")
    with (tmp_path / "reviews.csv").open(encoding="utf-8", newline="") as file:
        marked = {row["Id"]: row["random"] for row in csv.DictReader(file)}
    assert marked == {name: "yes" if in_random_share(name) else "" for name in marked}
    assert set(marked.values()) == {"yes", ""}


def test_no_cell_of_a_table_is_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    write_review_table(some_reviews(), path)
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert [cell for cell in cells if cell.startswith(("=", "\uff1d", "+", "-", "@", "\t", "\r", "\n"))] == []
    assert "'=1+1" in cells


def test_a_file_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    reviews = some_reviews()
    write_review_file(reviews, path)
    assert list(read_reviews(path)) == [review.checked() for review in reviews]


def test_programs_that_add_to_one_file_at_once_lose_nothing(tmp_path: Path) -> None:
    path, other_name = tmp_path / "Prüfung.json", tmp_path / "sub" / ".." / "Prüfung.json"
    (tmp_path / "sub").mkdir()
    given = {person: [review_of(result_of(f"f{number}"), by=person) for number in range(10)] for person in "ABCD"}

    def review(person: str) -> None:
        for one in given[person]:
            target = path if person in "AB" else other_name
            assert one.id in {known.id for known in add_to_review_file(one, target)}

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(review, given))
    found = [one for one in read_reviews(path) if isinstance(one, Review)]
    assert sorted(one.id for one in found) == sorted(one.id for reviews in given.values() for one in reviews)
    for person, reviews in given.items():
        assert [one for one in found if one.reviewer == person] == [one.checked() for one in reviews]


def test_a_review_is_added_to_a_file_once_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    review = review_of(result_of("a"))
    assert add_to_review_file(review, path) == add_to_review_file(review, path) == [review.checked()]
    with pytest.raises(ReviewError, match="no such review to withdraw"):
        add_to_review_file(withdrawal_of(review_of(result_of("b"))), path)
    with pytest.raises(OutputError, match="the folder is missing"):
        add_to_review_file(review, tmp_path / "none" / "reviews.json")
    path.write_text(path.read_text(encoding="utf-8").replace('"right"', '"perfect"'), encoding="utf-8")
    damaged = path.read_bytes()
    with pytest.raises(TableError, match="review 1 can't be used"):
        add_to_review_file(review_of(result_of("c")), path)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    "other",
    [
        review_of(result_of("b")),
        review_of(result_of("a"), by="Bob"),
        review_of(result_of("a"), "unsure"),
        review_of(result_of("a"), "labels", (3,)),
        review_of(result_of("a", (1,))),
        review_of(result_of("a", model_sha256="b" * 64)),
        review_of(result_of("a", stamps=(FileStamp(1, 2),))),
        review_of(result_of("a", scheme=OWN_SCHEME)),
        withdrawal_of(review_of(result_of("a"))),
    ],
)
def test_another_review_under_an_id_is_refused(tmp_path: Path, other: Review) -> None:
    file, two = tmp_path / "reviews.json", tmp_path / "two.json"
    review = review_of(result_of("a", stamps=(FileStamp(7, 2),)), id="same-id-0000")
    other = replace(other, id=review.id)
    add_to_review_file(review, file)
    before = file.read_bytes()
    with pytest.raises(ReviewError, match="another review has its id"):
        add_to_review_file(other, file)
    assert file.read_bytes() == before
    # Nor does a file that another program wrote bring it into a store.
    write_review_file([review, other], two)
    with store_of(tmp_path / "store", result_of("a")) as store:
        log = ReviewLog(store.ledger)
        first, second = log.add_all([one for one in read_reviews(two) if isinstance(one, Review)])
        assert isinstance(first, Entry)
        assert "another review has its id" in str(second)
        assert [entry.review for entry in log.after(0)] == [review.checked()]


def test_a_review_that_is_read_again_is_the_same(tmp_path: Path) -> None:
    file, table = tmp_path / "reviews.json", tmp_path / "reviews.csv"
    result = result_of("a", stamps=(FileStamp(7, 2),), models=("a" * 64, "b" * 64), views=4, device="cpu")
    review = review_of(result)
    with store_of(tmp_path / "store", result) as store:
        log = ReviewLog(store.ledger)
        entry = log.add(review)
        write_review_file([review], file)
        write_review_table([review], table)
        for path in (file, table):
            (again,) = read_reviews(path)
            assert isinstance(again, Review)
            assert log.add(again).number == entry.number
            assert len(add_to_review_file(again, file)) == 1
        # A table by hand does not have all columns.
        bare = replace(review, result=replace(result, stamps=(), models=(), views=1))
        assert log.add(bare).number == entry.number


def test_only_the_own_review_is_withdrawn_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "reviews.json"
    review = review_of(result_of("a"))
    add_to_review_file(review, file)
    for withdrawal in (withdrawal_of(review, by="Bob"), replace(withdrawal_of(review), result=result_of("b"))):
        with pytest.raises(ReviewError, match="withdrawn by the person who gave it"):
            add_to_review_file(withdrawal, file)
    assert len(add_to_review_file(withdrawal_of(review), file)) == 2


def test_a_row_that_cannot_be_used_affects_no_other(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    head = "Id,reviewer,time,verdict,labels,shown,model"
    good = "a,Anna,2026-01-01T00:00:00+00:00,labels,3 4,0,m"
    rows = [
        good,
        "a,Anna,2026-01-01T00:00:00+00:00,perfect,,0,m",
        "a,Anna,2026-01-01T00:00:00+00:00,labels,28,0,m",
        "a,Anna,never,labels,3,0,m",
        "a,Anna",
        good.replace("Anna", "Bob"),
    ]
    path.write_text("\n".join([head, *rows]), encoding="utf-8")
    found = list(read_reviews(path))
    reasons = [str(one) for one in found if isinstance(one, TableError)]
    assert [one.reviewer for one in found if isinstance(one, Review)] == ["Anna", "Bob"]
    for line, (reason, words) in enumerate(
        zip(reasons, ["'perfect'", "0 to 27", "'never'", "2 cells"], strict=True), 3
    ):
        assert f"line {line}" in reason
        assert words in reason
    # A row without an id of its own has the same id whenever it is read.
    again = list(read_reviews(path))
    assert [one.id for one in again if isinstance(one, Review)] == [one.id for one in found if isinstance(one, Review)]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"labels": ("Aggresome",)}, "are not those of their numbers"),
        ({"scheme": "own"}, "label scheme 'own' is unknown"),
        ({"scheme": "\x1b[31m", "classes": ("One", "Two")}, "can't be the name of a label scheme"),
    ],
)
def test_labels_have_the_names_of_their_scheme(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    path = tmp_path / "reviews.json"
    good, bad = review_of(result_of("a")), review_of(replace(result_of("b"), **changes), "unsure")
    write_review_file([bad, good], path)
    refused, read = read_reviews(path)
    assert why in str(refused)
    assert read == good.checked()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.json", "{}", "no file of reviews"),
        ("a.json", '{"form": "other", "version": 1, "reviews": []}', "of the form 'other'"),
        ("a.json", '{"form": "hpa-reviews", "version": 9, "reviews": []}', "version 9"),
        ("a.csv", "Id,Target\na,1\n", "no column 'reviewer'"),
        ("missing.csv", None, "can't be read"),
    ],
)
def test_what_holds_no_reviews_is_refused(tmp_path: Path, name: str, content: str | None, why: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(TableError, match=why):
        list(read_reviews(path))


@pytest.mark.parametrize("name", ["reviews.json", "reviews.csv"])
def test_a_withdrawal_that_is_not_read_names_its_review(tmp_path: Path, name: str) -> None:
    review = review_of(result_of("a"))
    reviews = [review, replace(withdrawal_of(review), time="yesterday")]
    (write_review_file if name.endswith("json") else write_review_table)(reviews, tmp_path / name)
    first, second = read_reviews(tmp_path / name)
    assert isinstance(first, Review)
    assert first.id == review.id
    assert isinstance(second, TableError)
    assert f"it withdraws the review '{review.id}', which counts without it" in second.what
