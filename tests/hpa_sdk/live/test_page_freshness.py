"""The page never shows rows or pictures of another store, of files that were changed, or of an earlier answer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.station import Station
from tests.browser import AXE
from tests.hpa_sdk.live.browsing import drop, shown_labels, until, visiting
from tests.hpa_sdk.live.serving import Page, add_results, field, serving, spare_port
from tests.hpa_sdk.live.test_page import barriers, labels_of
from tests.hpa_sdk.live.test_store_identity import move_store_away
from tests.hpa_sdk.workstation.watching import wait_until, watching
from tests.small import write_planes

pytestmark = pytest.mark.slow

CHANGED = "No picture: the files were changed since this field was answered"


def rows(visit: Any) -> list[str]:
    names: list[str] = visit.locator("[role=option] .option-name").all_text_contents()
    return names


def colour(visit: Any) -> list[int]:
    """Return the colour in the middle of the large picture."""
    found: list[int] = visit.evaluate(
        """async () => {
            const image = document.querySelector("figure.composite img"), canvas = document.createElement("canvas");
            await image.decode();
            Object.assign(canvas, { width: 1, height: 1 });
            canvas.getContext("2d").drawImage(image, 32, 32, 1, 1, 0, 0, 1, 1);
            return [...canvas.getContext("2d").getImageData(0, 0, 1, 1).data];
        }"""
    )
    return found


def bright(folder: Path, channel: int) -> list[Path]:
    """Write a field of which one channel is bright."""
    planes = np.zeros((4, 64, 64), np.uint8)
    planes[channel] = 200
    return list(write_planes(folder, "field", planes).files)


def test_a_new_store_shows_its_own_pictures(station: Station, browser: Any) -> None:
    context = browser.new_context()
    colours, port = [], spare_port()
    for channel in (0, 2):
        for file in bright(station.watch, channel):
            file.touch()
        with watching(station) as store:
            wait_until(store.count)
        with serving(station, port=port) as page:
            visit = context.new_page()
            visit.goto(page.url)
            visit.locator("figure.composite img").wait_for()
            colours.append(int(np.argmax(colour(visit)[:3])))
            visit.close()
        move_store_away(station)
    context.close()
    assert colours == [0, 2]


@pytest.mark.parametrize("new", [0, 1, 5])
def test_an_open_page_of_another_store_begins_anew(station: Station, browser: Any, tmp_path: Path, new: int) -> None:
    context = browser.new_context()
    visit = context.new_page()
    port = spare_port()
    with serving(station, port=port) as page:
        for name in ("left-1", "left-2"):
            page.send(*field(tmp_path / "mine", name).files)
        visit.goto(page.url)
        until(visit, lambda: rows(visit) == ["left-2", "left-1"])
    move_store_away(station)
    add_results(station, new)
    with serving(station, port=port):
        expected = [f"field-{at}" for at in reversed(range(new))]
        until(visit, lambda: visit.locator("#connection").inner_text() == "Live" and rows(visit) == expected)
        visit.wait_for_timeout(500)
        assert rows(visit) == expected
        assert "left-" not in visit.locator("#field").inner_text()
    context.close()


def test_an_answer_on_its_way_is_not_mixed_with_another_store(page: Page, browser: Any, tmp_path: Path) -> None:
    page.send(*field(tmp_path / "mine", "here").files)
    with visiting(browser, page) as visit:
        until(visit, lambda: rows(visit) == ["here"])
        asked: list[str] = []

        def answer(route: Any) -> None:
            listing = page.get("/results")
            listing["store"] = "0123456789abcdef"
            listing["results"][0] |= {"id": "elsewhere", "store": listing["store"]}
            asked.append(route.request.url)
            route.fulfill(json=listing)

        visit.route("**/results*failed=true*", answer)
        visit.locator("#show").select_option("failed=true")
        until(visit, lambda: asked)
        visit.get_by_text("Live", exact=True).wait_for()
        until(visit, lambda: rows(visit) == ["here"])


def test_a_picture_of_changed_files_has_the_reason_in_its_place(station: Station, browser: Any) -> None:
    sample = field(station.watch, "field-1")
    with watching(station) as store:
        wait_until(lambda: store.newest(1))
    field(station.watch, "field-1", seed=2)
    with serving(station) as page, visiting(browser, page) as visit:
        visit.get_by_text(CHANGED).first.wait_for()
        until(visit, lambda: visit.get_by_text(CHANGED).count() == 5)
        assert visit.locator("#field img").count() == 0
        assert visit.locator("[role=option] .thumbnail.no-picture").inner_text() == "?"
        assert shown_labels(visit)
    assert sample.id == "field-1"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_that_cannot_be_checked_says_so(station: Station, browser: Any, scheme: str) -> None:
    for name in ("old", "new"):
        field(station.watch, name)
        with watching(station) as store:
            wait_until(lambda: store.get(name))  # noqa: B023 - called at once
            if name == "old":
                store.add(replace(store.newest(1)[0], stamps=()))
    with (
        serving(station) as page,
        visiting(browser, page, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce") as visit,
    ):
        note = visit.get_by_text("cannot be checked")
        for name, count in (("old", 1), ("new", 0)):
            visit.locator("[role=option]", has_text=name).click()
            visit.locator("#field .field-id", has_text=name).wait_for()
            assert note.count() == count
            visit.locator("figure.composite img").wait_for()
        assert visit.locator(".thumbnail.unchecked").count() == 1
        visit.locator("[role=option]", has_text="old").click()
        assert note.is_visible()
        if AXE.is_file():
            assert barriers(visit) == []


def test_what_arrives_while_the_list_is_asked_for_is_in_it(page: Page, browser: Any, tmp_path: Path) -> None:
    page.send(*field(tmp_path / "mine", "first").files)
    with visiting(browser, page) as visit:
        until(visit, lambda: rows(visit) == ["first"])
        waiting: list[Any] = []
        visit.route("**/results*label=*", lambda route: waiting.append((route, route.fetch())))
        visit.locator(".count").first.click()
        until(visit, lambda: waiting)
        page.send(*field(tmp_path / "mine", "second").files)
        visit.locator("#field .field-id", has_text="second").wait_for()
        waiting[0][0].fulfill(response=waiting[0][1])
        until(visit, lambda: rows(visit) == ["second", "first"])
        visit.wait_for_timeout(300)
        assert "second" in visit.locator("#field .field-id").inner_text()


def test_older_fields_leave_no_gap_behind_a_cut(station: Station, browser: Any) -> None:
    add_results(station, 2300)
    with serving(station) as page, visiting(browser, page) as visit:
        visit.evaluate(
            """async () => {
                const scroll = document.querySelector(".scroll");
                while (document.querySelectorAll("[role=option]").length < 2000) {
                    scroll.scrollTop += 2000;
                    await new Promise(requestAnimationFrame);
                }
            }"""
        )
        waiting: list[Any] = []
        held = [True]
        visit.route("**/results*before=*", lambda route: waiting.append(route) if held else route.continue_())
        visit.evaluate("document.querySelector('.scroll').scrollTop = 1e9")
        until(visit, lambda: waiting)
        with ResultStore(station.output) as store:
            again = [replace(store.newest(1)[0], id=f"late-{at}") for at in range(30)]
            store.add(*again)
        until(visit, lambda: rows(visit)[0] == "late-29")
        held.clear()
        for route in waiting:
            route.continue_()
        visit.wait_for_timeout(300)
        visit.evaluate("document.querySelector('.scroll').scrollTop = 1e9")
        # Scrolling fetches older fields too and at last hides the button, so the click must not wait for it.
        until(visit, lambda: rows(visit)[-1] == "field-0" or visit.evaluate("document.querySelector('#older').click()"))
        numbers = visit.evaluate("[...document.querySelectorAll('[role=option]')].map((one) => one.result.number)")
        assert numbers == list(range(numbers[0], numbers[-1] - 1, -1))


def test_a_field_that_is_answered_twice_at_once_has_one_row(station: Station, browser: Any) -> None:
    add_results(station, 3)
    with serving(station) as page:
        stored = page.get("/results/field-1")
        new = [{**stored, "number": number, "labels": [], "indices": [number % 2]} for number in (4, 5)]
        status = ("status", {**page.get("/health"), "newest": 5})
        events = [status, *(("result", result) for result in new)]
        body = "".join(f"event: {kind}\ndata: {json.dumps(data)}\n\n" for kind, data in events)
        context = browser.new_context()
        visit = context.new_page()
        visit.route("**/events*", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
        visit.goto(page.url)
        until(visit, lambda: len(rows(visit)) >= 3 and rows(visit)[0] == "field-1")
        visit.wait_for_timeout(500)
        assert rows(visit) == ["field-1", "field-2", "field-0"]
        assert visit.evaluate("document.querySelector('[role=option]').result.number") == 5
        context.close()


def test_labels_are_those_of_the_field_whose_picture_is_shown(page: Page, browser: Any, tmp_path: Path) -> None:
    samples = [field(tmp_path / "mine", f"field-{at}", seed=at) for at in range(3)]
    with visiting(browser, page) as visit:
        for sample in samples:
            drop(visit, list(sample.files))
            visit.locator("#field .field-id", has_text=sample.id).wait_for()
            assert sorted(shown_labels(visit)) == sorted(labels_of(page.station, sample))
            address = visit.locator("figure.composite img").get_attribute("src")
            result = page.get("/results", count=1)["results"][0]
            assert address.endswith(f"&store={result['store']}&number={result['number']}")
            assert result["id"] in address
