"""Reviews outlast restarts, kills and other models; one that is sent again counts once; none is deleted silently."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpa_sdk.cli.review_text import status_lines
from hpa_sdk.results.result_store import LEDGER, ResultStore
from hpa_sdk.review.consensus import settle
from hpa_sdk.review.log import ReviewLog, standing
from hpa_sdk.review.record import ReviewError, now
from hpa_sdk.review.summary import summarise
from tests.hpa_sdk.review.made_reviews import OWN_SCHEME, result_of, review_of, store_of, withdrawal_of
from tests.test_earlier_files import FILES


def test_reviews_survive_a_restart_and_another_model(tmp_path: Path) -> None:
    first = result_of("a", (0, 2))
    review = review_of(first)
    with store_of(tmp_path, first) as store:
        ReviewLog(store.ledger).add(review)
        store.add(result_of("a", (5,), model_sha256="b" * 64))
    with ResultStore(tmp_path) as store:
        (entry,) = ReviewLog(store.ledger).after(0)
        present = store.get("a")
    assert entry.review == review
    # What was right is what was shown, whatever the field is answered with now.
    assert (entry.review.labels, entry.review.result.model_sha256) == ((0, 2), "a" * 64)
    assert present is not None
    assert present.indices == (5,)


def test_a_store_of_the_version_before_takes_reviews(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FILES / "watch", tmp_path / "watch"))
    with closing(sqlite3.connect(folder / LEDGER)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (3,)
    with ResultStore(folder) as store:
        answered = store.get("a")
        assert answered is not None
        ReviewLog(store.ledger).add(review_of(answered, "wrong"))
    with ResultStore(folder) as store:
        assert store.count() == 3
        assert [entry.review.verdict for entry in ReviewLog(store.ledger).after(0)] == ["wrong"]


def test_a_review_that_is_sent_again_is_stored_once(tmp_path: Path) -> None:
    review = review_of(result_of("a"))
    with store_of(tmp_path) as store:
        log = ReviewLog(store.ledger)
        first = log.add(review)
        # The server stamps the time, so a repetition can have another one.
        assert log.add(replace(review, time="2027-01-01T00:00:00+00:00")) == first
        with pytest.raises(ReviewError, match="another review has its id"):
            log.add(replace(review, verdict="wrong", labels=()))
        assert len(log.after(0)) == 1


def test_a_clock_that_is_ahead_does_not_win_for_ever(tmp_path: Path) -> None:
    ahead = review_of(result_of("a"), time="2999-01-01T00:00:00.000+00:00")
    with store_of(tmp_path) as store:
        log = ReviewLog(store.ledger)
        log.add(ahead)
        log.add(review_of(result_of("a"), "labels", (7,), time=now()))
        (field,) = settle(entry.review for entry in log.after(0))
    assert field.labels == {7}


def test_a_withdrawn_review_stays_and_does_not_count(tmp_path: Path) -> None:
    review, other = review_of(result_of("a")), review_of(result_of("a"), "wrong", by="Bob")
    with store_of(tmp_path) as store:
        log = ReviewLog(store.ledger)
        log.add(review)
        log.add(other)
        with pytest.raises(ReviewError, match="by the person who gave it"):
            log.add(withdrawal_of(review, by="Bob"))
        with pytest.raises(ReviewError, match="no such review"):
            log.add(withdrawal_of(withdrawal_of(review)))
        undone = log.add(withdrawal_of(review))
        assert log.add(withdrawal_of(review)) == undone
        entries = log.after(0)
    assert [entry.review.verdict for entry in entries] == ["right", "wrong", "withdrawn"]
    assert standing(entry.review for entry in entries) == [other]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"reviewer": " \n "}, "0 characters"),
        ({"reviewer": "x" * 201}, "201 characters"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-01-01T00:00:00"}, "time"),
        ({"id": "a b"}, "its id"),
        ({"labels": (1,)}, "other labels than those shown"),
        ({"verdict": "labels", "labels": (28,)}, "none of the 28 classes"),
        ({"verdict": "unsure", "labels": (1,)}, "which the verdict"),
        ({"withdraws": "review-1"}, "only a withdrawal"),
    ],
)
def test_what_is_no_review_is_refused(tmp_path: Path, changes: dict[str, object], why: str) -> None:
    review = replace(review_of(result_of("a")), **changes)  # type: ignore[arg-type]
    with store_of(tmp_path) as store, pytest.raises(ReviewError, match=why):
        ReviewLog(store.ledger).add(review)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '=HYPERLINK("x")', "O'Neil; DROP", "Anna\r\nBob", "名前 👩‍🔬"]
)
def test_a_name_can_be_anything_in_one_line(tmp_path: Path, name: str) -> None:
    with store_of(tmp_path) as store:
        entry = ReviewLog(store.ledger).add(review_of(result_of("a"), by=f"  {name} "))
    assert entry.review.reviewer == name.replace("\r\n", " ")


def test_a_name_has_one_form(tmp_path: Path) -> None:
    with store_of(tmp_path) as store:
        entry = ReviewLog(store.ledger).add(review_of(result_of("a"), by="Rene\u0301"))
    assert entry.review.reviewer == "Ren\u00e9"


def test_classes_of_another_scheme_have_their_own_indices(tmp_path: Path) -> None:
    with store_of(tmp_path) as store:
        log = ReviewLog(store.ledger)
        log.add(review_of(result_of("a", (2,), scheme=OWN_SCHEME)))
        with pytest.raises(ReviewError, match="none of the 3 classes of own"):
            log.add(review_of(result_of("b", (2,), scheme=OWN_SCHEME), "labels", (3,)))


def test_a_damaged_review_affects_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with store_of(tmp_path) as store:
        log = ReviewLog(store.ledger)
        for name in "abc":
            log.add(review_of(result_of(name)))
        store.ledger.rows("UPDATE reviews SET content = '{' WHERE field = 'b'")
        assert [entry.review.field for entry in log.after(0)] == ["a", "c"]
    assert "is damaged and does not count" in caplog.text


@pytest.mark.parametrize("value", ["CAST(x'62ff' AS TEXT)", "x'ff00'", "7", "'other-00000000'"])
@pytest.mark.parametrize("column", ["id", "field", "withdraws", "content"])
def test_any_part_of_a_review_can_be_damaged(
    tmp_path: Path, column: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    with store_of(tmp_path, *map(result_of, "abc")) as store:
        ReviewLog(store.ledger).add_all(review_of(result_of(name), id=f"review-of-{name}") for name in "abc")
    with closing(sqlite3.connect(tmp_path / LEDGER)) as file, file:
        file.execute(f"UPDATE reviews SET {column} = {value} WHERE field = 'b'")  # noqa: S608 - of this test
    with ResultStore(tmp_path) as store:
        page = ReviewLog(store.ledger).page(0)
        summary = summarise(store)
    assert [entry.review.field for entry in page.entries] == ["a", "c"]
    (damaged,) = page.damaged
    assert damaged.number == 2
    assert {"id": damaged.field == "b", "field": damaged.id == "review-of-b"}.get(column, True)
    assert damaged.what.endswith("review the field again")
    assert f"the review {damaged.id} of the field {damaged.field} is damaged and does not count" in caplog.text
    assert (summary.reviews, summary.damaged) == (2, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": (28,)},
        {"reviewer": "  "},
        {"time": "yesterday"},
        {"verdict": "unsure"},
        {"result": result_of("b", (), indices=(3,))},
        {"result": result_of("b", (), scheme=replace(OWN_SCHEME, names=("One", "One")))},
    ],
)
def test_a_review_that_says_the_impossible_is_damaged(tmp_path: Path, changes: dict[str, Any]) -> None:
    with store_of(tmp_path) as store:
        log = ReviewLog(store.ledger)
        good, bad = review_of(result_of("a")), review_of(result_of("b"))
        log.add_all([good, bad])
        store.ledger.rows("UPDATE reviews SET content = ? WHERE id = ?", replace(bad, **changes).to_json(), bad.id)
        page = log.page(0)
        assert summarise(store).damaged == 1
    assert ([entry.review for entry in page.entries], [one.id for one in page.damaged]) == ([good], [bad.id])


def test_a_damaged_entry_is_reported_where_it_is_named(tmp_path: Path) -> None:
    kept, lost = review_of(result_of("a")), review_of(result_of("b"))
    undo = withdrawal_of(kept)
    with store_of(tmp_path) as store:
        log = ReviewLog(store.ledger)
        for one in (kept, lost, undo):
            log.add(one)
        store.ledger.rows("UPDATE reviews SET content = '{' WHERE id IN (?, ?)", lost.id, undo.id)
        with pytest.raises(ReviewError, match="is damaged in the ledger"):
            log.add(lost)
        # The withdrawal still says what it withdraws: it is there, and counts.
        assert log.add(undo).number == log.add(withdrawal_of(kept)).number == 3
        summary = summarise(store)
    assert (summary.reviews, summary.withdrawn, summary.damaged) == (0, 1, 2)


@pytest.mark.parametrize(
    "damage",
    [
        "content = '{'",
        "content = x'ff00'",
        "content = replace(content, 'withdrawn', 'withdrawm')",
        "content = replace(content, 'review-', 'reveiw-')",
        "field = x'ff'",
        "id = 'un\u2028do'",
        "withdraws = x'ff'",
        "withdraws = NULL",
        "withdraws = 'other-00000000'",
    ],
)
def test_a_damaged_withdrawal_that_names_its_review_holds(tmp_path: Path, damage: str) -> None:
    kept, other = review_of(result_of("a")), review_of(result_of("a"), "wrong", by="Bob")
    with store_of(tmp_path, result_of("a")) as store:
        log = ReviewLog(store.ledger)
        for one in (kept, other, withdrawal_of(kept)):
            log.add(one)
        store.ledger.rows(f"UPDATE reviews SET {damage} WHERE number = 3")  # noqa: S608 - of this test
        page, summary = log.page(0), summarise(store)
    assert standing(entry.review for entry in page.entries) == [other]
    (damaged,) = page.damaged
    assert (damaged.withdraws, damaged.reviewer, damaged.unclear) == (kept.id, "Anna", False)
    assert "that one stays withdrawn" in damaged.what
    assert (summary.reviews, summary.withdrawn, summary.damaged, summary.kept_withdrawals) == (1, 1, 1, 1)
    assert summary.unclear_withdrawals == []


@pytest.mark.parametrize(
    ("damage", "people"),
    [
        ("withdraws = 'other-00000000', content = '{'", ("Anna", "Bob")),
        ("withdraws = NULL, content = replace(content, 'review-', 'reveiw-')", ("Anna",)),
        ("withdraws = x'ff', content = '{', field = x'ff'", ("Anna", "Bob", "Cleo")),
        ("withdraws = id, content = '{'", ("Anna", "Bob")),
    ],
)
def test_a_withdrawal_that_names_no_review_is_reported(tmp_path: Path, damage: str, people: tuple[str, ...]) -> None:
    kept = review_of(result_of("a"))
    others = [review_of(result_of("a"), by="Bob"), review_of(result_of("b"), by="Cleo")]
    with store_of(tmp_path, *map(result_of, "ab")) as store:
        log = ReviewLog(store.ledger)
        for one in (kept, *others, withdrawal_of(kept), review_of(result_of("a"), by="Dan")):
            log.add(one)
        store.ledger.rows(f"UPDATE reviews SET {damage} WHERE number = 4")  # noqa: S608 - of this test
        summary = summarise(store)
        (unclear,) = summary.unclear_withdrawals
        assert unclear.people == people
        text = "\n".join(status_lines(summary))
        assert f"a review of {' or '.join(people)} that counts may have been withdrawn; withdraw it again" in text
        # Once it is withdrawn again, as the report says, it is not named any more.
        log.add(withdrawal_of(kept))
        left = [one.people for one in summarise(store).unclear_withdrawals]
    assert left == [people[1:]] * (len(people) > 1)


def test_a_damaged_review_is_no_withdrawal(tmp_path: Path) -> None:
    kept, lost = review_of(result_of("a")), review_of(result_of("a"), by="Bob")
    with store_of(tmp_path, result_of("a")) as store:
        ReviewLog(store.ledger).add_all([kept, lost])
        for damage in ("withdraws = 'other-00000000'", "withdraws = NULL, content = '{'"):
            store.ledger.rows(f"UPDATE reviews SET {damage} WHERE number = 2")  # noqa: S608 - of this test
            summary = summarise(store)
            assert (summary.reviews, summary.damaged, summary.unclear_withdrawals) == (1, 1, [])


def test_a_review_waits_for_the_disk(tmp_path: Path) -> None:
    with store_of(tmp_path) as store:
        with store.ledger.transaction(durable=True):
            assert store.ledger.rows("PRAGMA synchronous") == [(2,)]  # FULL: a power failure does not lose it
        assert store.ledger.rows("PRAGMA synchronous") == [(1,)]  # NORMAL: results can be made again
        seen: list[object] = []
        store.ledger.rows("CREATE TEMP TRIGGER watch AFTER INSERT ON reviews BEGIN SELECT seen(); END")
        store.ledger._database.create_function(
            "seen", 0, lambda: seen.append(store.ledger.rows("PRAGMA synchronous")[0][0])
        )
        ReviewLog(store.ledger).add(review_of(result_of("a")))
    assert seen == [2]


def test_several_people_at_once_lose_nothing(tmp_path: Path) -> None:
    def review(person: str) -> None:
        with ResultStore(tmp_path) as store:
            for number in range(10):
                ReviewLog(store.ledger).add(review_of(result_of(f"f{number}"), by=person, id=f"{person}-{number:06}"))

    with store_of(tmp_path), ThreadPoolExecutor(4) as pool:
        list(pool.map(review, ["Anna", "Bob", "Cleo", "Dan"]))
    with ResultStore(tmp_path) as store:
        entries = ReviewLog(store.ledger).after(0)
    assert len({entry.review.id for entry in entries}) == len(entries) == 40


@pytest.mark.slow
def test_a_killed_process_loses_the_last_review_at_most(tmp_path: Path) -> None:
    for kill in range(3):
        store_of(tmp_path).close()
        command = [sys.executable, "-m", "tests.hpa_sdk.review.killed_reviewer", str(tmp_path), f"person{kill}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = [process.stdout.readline().strip() for _ in range(5 + 7 * kill)]
            process.kill()
            said += process.stdout.read().split()
        with ResultStore(tmp_path) as store:
            entries = [entry.review.id for entry in ReviewLog(store.ledger).after(0)]
        stored = [name for name in entries if name.startswith(f"person{kill}-")]
        assert stored[: len(said)] == said
        assert len(stored) - len(said) in {0, 1}
