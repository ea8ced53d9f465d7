"""Programs review results over HTTP: once each, seen by all, and only from where writing is allowed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.inference.prepared_field import ADAPTED_TO
from hpa_sdk.live.result_view import ResultView
from hpa_sdk.live.review_service import ReviewService
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.review.log import ReviewLog
from hpa_sdk.review.queue import in_random_share
from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.live.serving import TOKEN, Page, add_results, serving
from tests.hpa_sdk.review.made_reviews import review_of
from tests.hpa_sdk.workstation.watching import make_station


def asked(result: dict[str, Any], verdict: str = "right", **changes: Any) -> dict[str, Any]:
    body = {"id": f"{verdict}-{result['number']:08}", "field": result["id"], "verdict": verdict, "reviewer": "Anna"}
    return body | {"number": result["number"], "store": result["store"]} | changes


@pytest.fixture
def page_of_results(station: Station) -> Any:
    add_results(station, 40)
    with serving(station) as page:
        yield page


def results(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.get("/results", count=50)["results"]
    return found


def test_a_review_is_kept_seen_and_withdrawn(page_of_results: Page) -> None:
    page = page_of_results
    first, second, *_ = results(page)
    sent = page.client.post("/reviews", json=asked(first))
    assert sent.status_code == 200, sent.text
    entry = sent.json()
    assert entry["result"]["id"] == first["id"]
    assert entry["labels"] == first["indices"]
    page.client.post("/reviews", json=asked(second, "labels", labels=[7, 3], reviewer="Bob")).raise_for_status()
    assert [one["labels"] for one in page.get("/reviews")["reviews"]] == [first["indices"], [3, 7]]
    assert page.get("/reviews", field=second["id"])["reviews"][0]["reviewer"] == "Bob"
    (figures,) = page.get("/review-figures")["models"]
    assert (figures["reviewed"], figures["right"]) == (2, 1)
    share = [one for one in (first, second) if in_random_share(one["id"])]
    assert figures["random_reviewed"] == len(share)
    undo = {"id": "withdrawal-1", "withdraws": entry["id"], "store": first["store"], "reviewer": "Anna"}
    assert page.client.post("/withdrawals", json=undo | {"reviewer": "Bob"}).status_code == 422
    assert page.client.post("/withdrawals", json=undo).json()["verdict"] == "withdrawn"
    assert page.get("/review-figures")["models"][0]["reviewed"] == 1
    assert len(page.get("/reviews")["reviews"]) == 3


def test_figures_say_which_fields_the_model_knows(station: Station) -> None:
    add_results(station, 24, lambda at: (ADAPTED_TO,) * (at >= 12))
    with serving(station) as page:
        for at, result in enumerate(sorted(results(page), key=lambda one: one["number"])):
            body = asked(result) if at >= 3 else asked(result, "labels", labels=[7])
            page.client.post("/reviews", json=body).raise_for_status()
        (figures,) = page.get("/review-figures")["models"]
    assert (figures["reviewed"], figures["right"], figures["adapted"]) == (24, 21, 12)
    assert (figures["other_reviewed"], figures["other_right"]) == (12, 9)
    # Of the others: five true positives, one wrong label and three missed ones.
    assert figures["other_micro_f1"] == pytest.approx(2 * 5 / (2 * 5 + 1 + 3))


def test_a_review_that_is_sent_again_is_taken_once(page_of_results: Page) -> None:
    page = page_of_results
    body = asked(results(page)[0])
    numbers = {page.client.post("/reviews", json=body).json()["number"] for _ in range(3)}
    assert len(numbers) == 1
    # It is taken once even if the field has another answer by now, which the first attempt did not see.
    with ResultStore(page.station.output) as store:
        known = store.get(body["field"])
        assert known is not None
        store.add(replace(known, model_sha256="b" * 64))
    assert page.client.post("/reviews", json=body).json()["number"] in numbers
    for other in ({"verdict": "wrong"}, {"field": results(page)[1]["id"]}):
        assert page.client.post("/reviews", json=body | other).status_code == 422
    assert len(page.get("/reviews")["reviews"]) == 1


def test_a_review_of_an_earlier_answer_is_refused(page_of_results: Page) -> None:
    page = page_of_results
    (shown, other, *_) = results(page)
    with ResultStore(page.station.output) as store:
        known = store.get(shown["id"])
        assert known is not None
        store.add(replace(known, labels=("Cytosol",), indices=(25,)))
    assert page.client.post("/reviews", json=asked(shown)).status_code == 409
    assert page.client.post("/reviews", json=asked(other, store="another")).status_code == 409
    assert page.client.post("/reviews", json=asked(other, field="gone")).status_code == 422
    assert page.get("/reviews")["reviews"] == []


def test_what_is_no_review_is_refused_with_a_reason(page_of_results: Page) -> None:
    body = asked(results(page_of_results)[0])
    for changes in (
        {"verdict": "perfect"},
        {"verdict": "labels", "labels": [28]},
        {"verdict": "labels", "labels": [-1]},
        {"verdict": "wrong", "labels": [1]},
        {"reviewer": ""},
        {"reviewer": " \n"},
        {"reviewer": "x" * 201},
        {"id": "short"},
        {"id": "with space"},
        {"number": 2**70},
    ):
        refused = page_of_results.client.post("/reviews", json=body | changes)
        assert refused.status_code == 422, changes
        assert refused.json()["what"]
    assert page_of_results.get("/reviews")["reviews"] == []


def test_the_queue_offers_each_field_once_to_a_person(page_of_results: Page) -> None:
    page = page_of_results
    seen: list[str] = []
    shares: list[bool] = []
    while offered := page.get("/review-queue", reviewer="Anna", count=5)["fields"]:
        for one in offered:
            page.client.post("/reviews", json=asked(one["result"])).raise_for_status()
            seen.append(one["result"]["id"])
            shares.append(one["random"])
    assert sorted(seen) == sorted(one["id"] for one in results(page))
    random_fields = sum(map(in_random_share, seen))
    assert random_fields
    assert shares[4]
    # Another person gets the fields of the random share only, so that agreement can be measured.
    others = page.get("/review-queue", reviewer="Bob", count=50)["fields"]
    assert sorted(one["result"]["id"] for one in others) == sorted(filter(in_random_share, seen))


def test_what_nobody_could_decide_is_offered_to_others(page_of_results: Page) -> None:
    page = page_of_results
    first, second, third = (
        one for one in page.get("/review-queue", reviewer="Anna", count=4)["fields"][:3] if not one["random"]
    )
    for offered, verdict in ((first, "unsure"), (second, "wrong"), (third, "right")):
        page.client.post("/reviews", json=asked(offered["result"], verdict)).raise_for_status()
    names = {one["result"]["id"] for one in page.get("/review-queue", reviewer="Bob", count=50)["fields"]}
    assert {first["result"]["id"], second["result"]["id"]} <= names
    assert third["result"]["id"] not in names


def test_a_replaced_picture_is_offered_again(page_of_results: Page) -> None:
    page = page_of_results
    shown = next(one for one in results(page) if not in_random_share(one["id"]))
    for at, expected in ((1, set()), (2, {shown["id"]})):
        with ResultStore(page.station.output) as store:
            known = store.get(shown["id"])
            assert known is not None
            store.add(replace(known, stamps=(FileStamp(10, at),)))
        if at == 1:
            (present,) = (one for one in results(page) if one["id"] == shown["id"])
            page.client.post("/reviews", json=asked(present)).raise_for_status()
        for name in ("Anna", "Bob"):
            offered = page.get("/review-queue", reviewer=name, count=50)["fields"]
            assert {one["result"]["id"] for one in offered} & {shown["id"]} == expected


def test_reviews_survive_a_restart_and_are_sent_as_events(station: Station) -> None:
    add_results(station, 3)
    with serving(station) as page:
        first, second, _ = results(page)
        page.client.post("/reviews", json=asked(first)).raise_for_status()
    with serving(station) as page:
        page.client.post("/reviews", json=asked(second, "unsure")).raise_for_status()
        found = events(page, {}, reviews=0)
        assert [one["verdict"] for one, _ in found] == ["right", "unsure"]
        # A browser that reconnects sends the last id, and gets what follows it.
        last = found[0][1]
        assert [one["verdict"] for one, _ in events(page, {"Last-Event-ID": last}, reviews=0)] == ["unsure"]
        # Clients of the version before ask for no reviews, and get none.
        with page.client.stream("GET", "/events") as stream:
            lines = []
            for line in stream.iter_lines():
                lines.append(line)
                if line.startswith("id: ") and line.endswith("-3"):
                    break
        assert "event: review" not in lines


def events(page: Page, headers: dict[str, str], **query: Any) -> list[tuple[Any, str]]:
    """Read the reviews among the events until the last one that is stored."""
    newest = page.get("/review-figures")["newest"]
    found: list[tuple[Any, str]] = []
    with page.client.stream("GET", "/events", headers=headers, params=query) as stream:
        kind = number = ""
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            kind, number = (value if name == "event" else kind), (value if name == "id" else number)
            if name == "data" and kind == "review":
                found.append((json.loads(value), number))
                if found[-1][0]["number"] == newest:
                    break
    return found


def test_paging_goes_on_after_damaged_reviews(station: Station) -> None:
    add_results(station, 7)
    with serving(station) as page:
        numbers = [page.client.post("/reviews", json=asked(one)).json()["number"] for one in results(page)]
        damaged = {numbers[at] for at in (1, 2, 3, 5)}
        with ResultStore(station.output) as store:
            for number in damaged:
                store.ledger.rows("UPDATE reviews SET content = '{' WHERE number = ?", number)
        read: list[int] = []
        reported: list[dict[str, Any]] = []
        after, pages = 0, 0
        while after is not None:
            found = page.get("/reviews", after=after, count=2)
            read += [one["number"] for one in found["reviews"]]
            reported += found["damaged"]
            after, pages = found["next"], pages + 1
        assert read == [number for number in numbers if number not in damaged]
        assert pages == 4
        assert {one["number"] for one in reported} == damaged
        first = reported[0]
        assert first["field"] == results(page)[1]["id"]
        assert first["what"]
        (of_field,) = page.get("/reviews", field=first["field"])["damaged"]
        assert of_field == first
        assert [one["number"] for one, _ in events(page, {}, reviews=0)] == read
        # A client that sends it again gets this answer, and does not wait for a ledger that is busy.
        again = page.client.post("/reviews", json=asked(results(page)[1]))
        assert again.status_code == 422
        assert "damaged" in again.json()["what"]


def test_a_damaged_id_costs_the_page_no_other_review(station: Station) -> None:
    add_results(station, 3)
    with serving(station) as page:
        numbers = [page.client.post("/reviews", json=asked(one)).json()["number"] for one in results(page)]
        with ResultStore(station.output) as store:
            store.ledger.rows("UPDATE reviews SET id = CAST(x'61ff' AS TEXT) WHERE number = ?", numbers[1])
        found = page.get("/reviews")
        assert [one["number"] for one in found["reviews"]] == [numbers[0], numbers[2]]
        assert [(one["number"], one["id"]) for one in found["damaged"]] == [(numbers[1], "a\\xff")]
        assert [one["number"] for one, _ in events(page, {}, reviews=0)] == [numbers[0], numbers[2]]
        assert page.get("/review-figures")["models"][0]["reviewed"] == 2


def test_events_go_on_after_many_damaged_reviews(station: Station) -> None:
    add_results(station, 1)
    with ResultStore(station.output) as store:
        (result,) = store.newest(1)
        log = ReviewLog(store.ledger)
        log.add_all(review_of(result, by=f"Anna {number}") for number in range(150))
        store.ledger.rows("UPDATE reviews SET content = '{'")
        log.add(review_of(result, by="Bob"))
    with serving(station) as page:
        assert [one["reviewer"] for one, _ in events(page, {}, reviews=0)] == ["Bob"]


def test_several_people_at_once_lose_nothing(page_of_results: Page) -> None:
    page = page_of_results
    fields = results(page)

    def review(person: str) -> None:
        with httpx.Client(base_url=page.url, timeout=60) as client:
            for one in fields[:10]:
                body = asked(one, reviewer=person, id=f"{person}-{one['number']:08}")
                # A client that got no answer sends again.
                for _ in range(2):
                    client.post("/reviews", json=body).raise_for_status()

    people = ["Anna", "Bob", "Cleo", "Dan"]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(review, people))
    found = page.get("/reviews", count=500)["reviews"]
    assert sorted((one["reviewer"], one["result"]["id"]) for one in found) == sorted(
        (person, one["id"]) for person in people for one in fields[:10]
    )


def test_writing_needs_the_token_and_the_own_page(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model)
    add_results(station, 1)
    with serving(station, token=TOKEN) as page:
        body = asked(results(page)[0])
        with httpx.Client(base_url=page.url, timeout=60) as stranger:
            for path in ("/reviews", "/withdrawals"):
                assert stranger.post(path, json=body).status_code == 401
            for path in ("/reviews", "/review-queue?reviewer=Anna", "/review-figures"):
                assert stranger.get(path).status_code == 401
            other = {"Authorization": f"Bearer {TOKEN}", "Origin": "http://evil.example"}
            assert stranger.post("/reviews", json=body, headers=other).status_code == 403
            other = {"Authorization": f"Bearer {TOKEN}", "Sec-Fetch-Site": "cross-site"}
            assert stranger.post("/reviews", json=body, headers=other).status_code == 403
        too_large = page.client.post("/reviews", json=body | {"reviewer": "x" * 2**17})
        assert too_large.status_code == 413
        assert page.get("/reviews")["reviews"] == []
        assert page.client.post("/reviews", json=body).status_code == 200


def test_readers_do_not_wait_while_results_are_written(tmp_path: Path) -> None:
    with (
        ResultStore(tmp_path) as store,
        closing(ResultView(store.ledger.path)) as view,
        closing(ReviewService(store, view)) as reviews,
        ThreadPoolExecutor(1) as pool,
        store.ledger.transaction(),
    ):
        assert pool.submit(reviews.page, 0, 10).result(timeout=10).entries == []
        assert pool.submit(reviews.figures).result(timeout=10) == []
