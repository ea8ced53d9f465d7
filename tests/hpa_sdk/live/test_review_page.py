"""A person reviews on the page with the keyboard alone, and sees what others say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from hpa_sdk.inference.prepared_field import ADAPTED_TO
from hpa_sdk.workstation.station import Station
from tests.browser import AXE
from tests.hpa_sdk.live.browsing import hold, until, visiting
from tests.hpa_sdk.live.serving import Page, add_results, serving, spare_port
from tests.hpa_sdk.live.test_page import barriers
from tests.hpa_sdk.workstation.watching import wait_until

pytestmark = pytest.mark.slow

REVIEWS_OF_FIELD = re.compile(r"/reviews\?field=")
NAME = '<img src=x onerror=alert(1)> & "Anna" =1+1'


@pytest.fixture
def page_of_results(station: Station) -> Iterator[Page]:
    add_results(station, 12)
    with serving(station) as page:
        yield page


def start(visit: Any, name: str) -> None:
    """Start to review, by keyboard alone."""
    visit.get_by_text("Live", exact=True).wait_for()
    visit.locator("#review").press("Enter")
    visit.keyboard.type(name)
    visit.keyboard.press("Enter")
    visit.locator("#review-state", has_text=":").wait_for()


def press(visit: Any, page: Page, key: str) -> dict[str, Any]:
    """Press the key of a verdict, and wait until it is stored and the page is at the next field."""
    before = len(page.get("/reviews", count=500)["reviews"])
    # What is said of the last review must not be taken for this one's.
    visit.locator("#review-state").evaluate("(state) => { state.textContent = ''; }")
    visit.keyboard.press(key)
    wait_until(lambda: len(page.get("/reviews", count=500)["reviews"]) > before)
    visit.locator("#review-state", has_text="Saved" if key != "z" else "Undone").wait_for()
    stored: dict[str, Any] = page.get("/reviews", count=500)["reviews"][-1]
    return stored


def shown(visit: Any) -> str:
    text: str = visit.locator("#field .field-id span").inner_text()
    return text


def test_one_key_says_each_verdict_and_shows_the_next(page_of_results: Page, browser: Any) -> None:
    page = page_of_results
    with visiting(browser, page) as visit:
        start(visit, NAME)
        for key, verdict in (("r", "right"), ("w", "wrong"), ("u", "unsure"), ("b", "bad")):
            field = shown(visit)
            stored = press(visit, page, key)
            assert (stored["result"]["id"], stored["verdict"], stored["reviewer"]) == (field, verdict, NAME)
            visit.locator("#field .field-id span").filter(has_not_text=re.compile(f"^{field}$")).wait_for()
        # All have the probability 0.5, so the first three rows are the labels 0, 1 and 2.
        boxes = visit.locator("#field tbody input")
        known = boxes.nth(0).is_checked()
        visit.keyboard.press("2")
        visit.keyboard.press("3")
        assert press(visit, page, "l")["labels"] == ([0] if known else []) + [1, 2]
        # The name is asked once.
        visit.reload()
        visit.get_by_text("Live", exact=True).wait_for()
        visit.locator("#review").press("Enter")
        visit.locator("#reviewer", has_text="<img").wait_for()
        assert visit.locator("#reviewer").inner_text() == NAME
        assert visit.locator("#review-panel img").count() == 0


def test_arrows_move_and_undo_withdraws(page_of_results: Page, browser: Any) -> None:
    page = page_of_results
    with visiting(browser, page) as visit:
        start(visit, "Anna")
        first = shown(visit)
        stored = press(visit, page, "r")
        second = shown(visit)
        visit.keyboard.press("ArrowLeft")
        wait_until(lambda: shown(visit) == first)
        visit.locator("#reviews-of-field", has_text="You: right").wait_for()
        visit.keyboard.press("ArrowRight")
        wait_until(lambda: shown(visit) == second)
        undone = press(visit, page, "z")
        assert (undone["verdict"], undone["withdraws"]) == ("withdrawn", stored["id"])
        wait_until(lambda: shown(visit) == first)
        # A key that is held down is one verdict; keys with a modifier are the browser's.
        visit.keyboard.press("Control+b")
        for _ in range(5):
            visit.keyboard.down("u")
        wait_until(lambda: len(page.get("/reviews")["reviews"]) == 3)
        visit.locator("#review-state", has_text="Saved").wait_for()
        assert [one["verdict"] for one in page.get("/reviews")["reviews"]] == ["right", "withdrawn", "unsure"]


def test_keys_say_nothing_where_no_field_is_shown(page_of_results: Page, browser: Any) -> None:
    with visiting(browser, page_of_results) as visit:
        start(visit, "Anna")
        visit.locator("#follow").press("Enter")
        visit.locator("#show").select_option(label="failed fields")
        visit.locator("#field .field-id span").wait_for(state="detached")
        visit.locator("#show").blur()
        visit.keyboard.press("r")
        visit.wait_for_timeout(500)
        assert page_of_results.get("/reviews")["reviews"] == []


def test_two_people_see_each_others_reviews(page_of_results: Page, browser: Any) -> None:
    page = page_of_results
    with visiting(browser, page) as anna, visiting(browser, page) as bob:
        start(anna, "Anna")
        start(bob, "Bob")
        assert shown(anna) == shown(bob)
        press(anna, page, "w")
        bob.locator("#reviews-of-field", has_text="Anna: wrong").wait_for()
        bob.locator("#figures td", has_text="1").first.wait_for()
        # The field was not asked twice: Bob goes on to one that nobody has reviewed.
        press(bob, page, "r")
        assert shown(bob) not in {one["result"]["id"] for one in page.get("/reviews")["reviews"]}


def test_a_review_that_arrives_before_older_ones_is_shown(page_of_results: Page, browser: Any) -> None:
    page = page_of_results
    with visiting(browser, page) as anna, visiting(browser, page) as bob:
        start(anna, "Anna")
        held: list[Any] = []
        bob.route(REVIEWS_OF_FIELD, lambda route: held.append((route, route.fetch())))
        start(bob, "Bob")
        until(bob, lambda: held)
        press(anna, page, "w")
        bob.locator("#reviews-of-field", has_text="Anna: wrong").wait_for()
        with bob.expect_response(REVIEWS_OF_FIELD):
            held[0][0].fulfill(response=held[0][1])
        bob.wait_for_timeout(300)
        assert "Anna: wrong" in bob.locator("#reviews-of-field").inner_text()


def test_late_figures_do_not_replace_newer_ones(page_of_results: Page, browser: Any) -> None:
    page = page_of_results
    with visiting(browser, page) as visit:
        start(visit, "Anna")
        held: list[Any] = []
        visit.route(
            "**/review-figures",
            lambda route: route.continue_() if held else held.append((route, route.fetch())),
        )
        press(visit, page, "w")
        until(visit, lambda: held)
        press(visit, page, "w")
        visit.locator("#figures td", has_text=re.compile("^2$")).first.wait_for()
        with visit.expect_response("**/review-figures"):
            held[0][0].fulfill(response=held[0][1])
        visit.wait_for_timeout(300)
        assert visit.locator("#figures td").first.inner_text() == "2"


def test_a_key_before_the_next_field_is_shown_says_nothing(station: Station, browser: Any) -> None:
    add_results(station, 1)
    with serving(station) as page, visiting(browser, page) as visit:
        start(visit, "Anna")
        held = hold(visit, "**/review-queue*")
        visit.keyboard.press("r")
        until(visit, lambda: held)
        visit.keyboard.press("w")
        visit.wait_for_timeout(300)
        held[0].continue_()
        visit.locator("#review-state", has_text="No field is left").wait_for()
        assert [one["verdict"] for one in page.get("/reviews")["reviews"]] == ["right"]


def test_undo_finds_a_review_that_is_still_asked_for(page_of_results: Page, browser: Any) -> None:
    page = page_of_results
    with visiting(browser, page) as visit:
        start(visit, "Anna")
        field = press(visit, page, "r")["result"]["id"]
        visit.reload()
        visit.locator("#review").press("Enter")
        visit.locator("#review-state", has_text=":").wait_for()
        held = hold(visit, REVIEWS_OF_FIELD)
        visit.locator(".option-name", has_text=re.compile(f"^{field}$")).click()
        until(visit, lambda: held)
        visit.keyboard.press("z")
        visit.wait_for_timeout(300)
        visit.unroute(REVIEWS_OF_FIELD)
        held[0].continue_()
        visit.locator("#review-state", has_text="Undone").wait_for()


def test_a_review_outlasts_a_server_that_is_away(station: Station, browser: Any) -> None:
    add_results(station, 3)
    context = browser.new_context()
    visit = context.new_page()
    port = spare_port()
    with serving(station, port=port) as page:
        visit.goto(page.url)
        start(visit, "Anna")
        field = shown(visit)
    visit.keyboard.press("r")
    visit.locator("#review-state", has_text="Not saved yet").wait_for()
    with serving(station, port=port) as page:
        wait_until(lambda: page.get("/reviews")["reviews"])
        assert [one["result"]["id"] for one in page.get("/reviews")["reviews"]] == [field]
    context.close()


def test_a_review_that_was_under_way_is_sent_after_a_reload(station: Station, browser: Any) -> None:
    add_results(station, 3)
    context = browser.new_context()
    visit = context.new_page()
    # Before the page is opened, for the reason that `visiting` gives.
    visit.route("**/reviews", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    with serving(station) as page:
        visit.goto(page.url)
        start(visit, "Anna")
        visit.keyboard.press("w")
        visit.locator("#review-state", has_text="Not saved yet").wait_for()
        visit.unroute("**/reviews")
        visit.reload()
        wait_until(lambda: page.get("/reviews")["reviews"])
        assert [one["verdict"] for one in page.get("/reviews")["reviews"]] == ["wrong"]
    context.close()


def test_every_review_that_is_refused_is_reported(page_of_results: Page, browser: Any) -> None:
    page = page_of_results
    with visiting(browser, page) as visit:
        visit.get_by_text("Live", exact=True).wait_for()
        for at in range(3):
            body = {"id": f"review-{at}", "field": f"gone-{at}", "number": 1, "verdict": "wrong", "reviewer": "Anna"}
            unsent = ["/reviews", body | {"store": page.get("/reviews")["store"]}]
            visit.evaluate(
                "([key, unsent]) => localStorage.setItem(key, unsent)", [f"hpa-unsent-{at}", json.dumps(unsent)]
            )
        visit.reload()
        visit.locator(".trouble", has_text="there is no such field any more").nth(2).wait_for()


def test_the_page_says_that_a_model_was_adapted_to_fields(station: Station, browser: Any) -> None:
    add_results(station, 12, lambda at: (ADAPTED_TO,) * (at < 2))
    with serving(station) as page, visiting(browser, page) as visit:
        start(visit, "Anna")
        for _ in range(12):
            press(visit, page, "r")

        def rows() -> list[list[str]]:
            return [row.split() for row in visit.locator("#figures tbody tr").all_inner_texts()]

        # The figures follow the reviews a little later.
        until(visit, lambda: ["all", "12", "100", "%", "1.00"] in rows())
        assert ["others", "10", "100", "%", "1.00"] in rows()
        assert visit.locator("#figures td", has_text="Adapted to 2 of these fields: the figures are too good.").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_is_found_by_the_automatic_check(page_of_results: Page, browser: Any, scheme: str) -> None:
    if not AXE.is_file():
        pytest.skip(f"no axe-core at {AXE}: 'make test-page' fetches it")
    page = page_of_results
    with visiting(browser, page, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce") as visit:
        visit.get_by_text("Live", exact=True).wait_for()
        visit.locator("#review").press("Enter")
        assert barriers(visit) == []
        visit.keyboard.type("Anna")
        visit.keyboard.press("Enter")
        visit.locator("#review-state", has_text=":").wait_for()
        press(visit, page, "r")
        visit.keyboard.press("ArrowLeft")
        visit.locator("#reviews-of-field", has_text="You").wait_for()
        visit.locator("#figures td").first.wait_for()
        assert barriers(visit) == []
