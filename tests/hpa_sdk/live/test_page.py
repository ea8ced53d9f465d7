"""The page in a real browser shows what is dropped and what arrives, by mouse and keyboard and to a screen reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpa_sdk.predictor import Predictor
from hpa_sdk.workstation.station import Station
from tests.browser import AXE
from tests.hpa_sdk.live.browsing import drop, hold, shown_labels, until, visiting
from tests.hpa_sdk.live.serving import TOKEN, Page, add_results, field, serving, spare_port, zip_of
from tests.hpa_sdk.workstation.watching import make_station, wait_until
from tests.small import make_model, random_planes, write_planes

pytestmark = pytest.mark.slow


def labels_of(station: Station, sample: Any) -> list[str]:
    (prediction,) = Predictor.load(station.model, device="cpu").predict(sample)
    assert prediction.labels
    return [str(label) for label in sorted(prediction, key=int)]


def test_a_field_that_is_dropped_shows_its_labels_and_pictures(page: Page, browser: Any, tmp_path: Path) -> None:
    sample = field(tmp_path / "mine", "field-1", seed=3)
    with visiting(browser, page) as visit:
        visit.get_by_text("Waiting for the first field").wait_for()
        drop(visit, list(sample.files))
        visit.locator("#field .chip").first.wait_for()
        assert sorted(shown_labels(visit)) == sorted(labels_of(page.station, sample))
        rows = visit.locator("#field tr.counts")
        assert rows.count() == len(shown_labels(visit))
        assert "%" in rows.first.inner_text()
        wait_until(lambda: visit.evaluate("[...document.querySelectorAll('#field img')].every((i) => i.naturalWidth)"))
        assert visit.locator("#field img").count() == 5
        assert visit.locator("#device").inner_text() == "cpu"
        visit.locator(".count").first.wait_for()
        visit.get_by_role("button", name="All 28 labels").click()
        assert visit.locator("#field tbody tr").count() == 28


def test_what_the_model_is_not_for_is_shown(browser: Any, tmp_path: Path) -> None:
    model = make_model(tmp_path / "warned.onnx", warning="Not for diagnosis, page.")
    with serving(make_station(tmp_path, model)) as page, visiting(browser, page, bypass_csp=True) as visit:
        visit.locator("#warning", has_text="Not for diagnosis, page.").wait_for()
        if AXE.is_file():
            assert barriers(visit) == []


def test_a_refusal_is_reported_and_the_next_field_is_answered(page: Page, browser: Any, tmp_path: Path) -> None:
    sample = field(tmp_path / "mine", "field-1")
    packed = tmp_path / "field.zip"
    packed.write_bytes(zip_of("a.png", b""))
    with visiting(browser, page) as visit:
        visit.get_by_text("Live", exact=True).wait_for()
        for files, reason in ((sample.files[:3], "no channel is yellow"), ([packed], "no format of microscopes")):
            drop(visit, list(files))
            visit.get_by_role("alert").get_by_text(reason).wait_for()
        visit.get_by_role("button", name="Dismiss").first.click()
        assert visit.get_by_text("no channel is yellow").count() == 0
        visit.locator("#files").set_input_files([str(file) for file in sample.files])
        visit.locator("#field .field-head").wait_for()


def test_a_field_with_a_warning_is_marked_found_and_explained(page: Page, browser: Any, tmp_path: Path) -> None:
    planes = random_planes(np.random.default_rng(4))
    good = write_planes(tmp_path / "mine", "good", planes)
    planes[1] = 0
    spoiled = write_planes(tmp_path / "mine", "spoiled", planes)
    with visiting(browser, page) as visit:
        for sample in (spoiled, good):
            drop(visit, list(sample.files))
            visit.locator("#field .field-id", has_text=sample.id).wait_for()
        assert visit.locator("#field .warnings").count() == 0
        # The list gets a field by an event, which can come later than the answer.
        visit.locator("[role=option]").nth(1).wait_for(state="attached")
        visit.locator("#show").select_option("warned=true")
        # All rows at once: the list is loaded again when the filter changes.
        wait_until(lambda: ["⚠" in row for row in visit.locator("[role=option]").all_inner_texts()] == [True])
        # A row that scrolling hides gets no click of a mouse.
        visit.locator("[role=option]").dispatch_event("click")
        explained = visit.locator("#field .warnings").inner_text()
        assert "The green plane is empty" in explained


def test_a_new_field_appears_by_itself_newest_first(station: Station, browser: Any) -> None:
    with serving(station, watches=True) as page, visiting(browser, page) as visit:
        visit.get_by_text("Live", exact=True).wait_for()
        for name in ("field-1", "field-2"):
            field(station.watch, name)
            visit.locator("#field .field-id", has_text=name).wait_for()
            if name == "field-1":
                visit.locator("#said", has_text="New field field-1: ").wait_for(state="attached")
        assert [option.split("\n")[0] for option in visit.locator("[role=option]").all_inner_texts()] == [
            "field-2",
            "field-1",
        ]


def test_an_open_page_continues_when_the_server_is_back(station: Station, browser: Any, tmp_path: Path) -> None:
    port = spare_port()
    with serving(station, port=port) as page:
        context = browser.new_context()
        visit = context.new_page()
        visit.goto(page.url)
        visit.get_by_text("Live", exact=True).wait_for()
    visit.get_by_text("Not connected").wait_for()
    with serving(station, port=port) as page:
        page.send(*field(tmp_path / "mine", "later").files)
        visit.locator("#field .field-id", has_text="later").wait_for()
        assert visit.locator("#connection").inner_text() == "Live"
    context.close()


def test_the_list_shows_the_scrolled_part_of_10000_results(station: Station, browser: Any) -> None:
    add_results(station, 10_000)
    with serving(station) as page, visiting(browser, page) as visit:
        visit.locator("[role=option]").first.wait_for()
        visit.locator("#field .chip").first.wait_for()
        assert visit.locator("[role=option]").count() < 1000
        visit.evaluate(
            """async () => {
                const scroll = document.querySelector(".scroll");
                while (document.querySelectorAll("[role=option]").length < 1000) {
                    scroll.scrollTop += 2000;
                    await new Promise(requestAnimationFrame);
                }
            }"""
        )


def test_the_keyboard_reaches_everything(station: Station, browser: Any, tmp_path: Path) -> None:
    with serving(station) as page:
        for name in ("a", "b", "c"):
            page.send(*field(tmp_path / "mine", name, seed=ord(name)).files)
        with visiting(browser, page) as visit:
            visit.locator(".count").first.wait_for()
            visit.locator("#field .chip").first.wait_for()
            reached = []
            for _ in range(40):
                visit.keyboard.press("Tab")
                reached.append(visit.evaluate("document.activeElement.id || document.activeElement.className"))
                seen = visit.evaluate(
                    "const e = document.activeElement;"
                    "[e, e.parentElement].some((x) => parseFloat(getComputedStyle(x).outlineWidth) >= 2)"
                )
                assert seen, reached
                if reached[-1] == "count":
                    break
            assert {"skip", "files", "follow", "show", "option", "count"} <= set(reached)
            visit.locator("[role=option]").first.focus()
            visit.keyboard.press("ArrowDown")
            visit.locator("#field .field-id", has_text="b").wait_for()
            assert visit.locator("[aria-selected=true] .option-name").inner_text() == "b"
            assert visit.locator("#follow").get_attribute("aria-pressed") == "false"
            visit.keyboard.press("End")
            visit.locator("#field .field-id", has_text="a").wait_for()


def test_the_list_can_be_narrowed_to_a_label_and_to_what_failed(page: Page, browser: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        page.send(*field(tmp_path / "mine", name, seed=ord(name)).files)
    with visiting(browser, page) as visit:
        visit.locator(".count").first.click()
        wait_until(lambda: visit.locator("#show").input_value().startswith("label="))
        visit.locator("#show").select_option("failed=true")
        visit.get_by_text("No field yet").wait_for()


def test_a_click_while_the_counts_change_is_not_lost(page: Page, browser: Any, tmp_path: Path) -> None:
    page.send(*field(tmp_path / "mine", "a").files)
    with visiting(browser, page) as visit:
        visit.locator(".count").first.hover()
        visit.mouse.down()
        page.send(*field(tmp_path / "mine", "b").files)
        visit.locator("#total", has_text="2").wait_for()
        assert visit.locator(".count .number").first.inner_text() == "2"
        visit.mouse.up()
        wait_until(lambda: visit.locator("#show").input_value().startswith("label="))


def test_a_field_that_is_sent_is_drawn_once(page: Page, browser: Any, tmp_path: Path) -> None:
    with visiting(browser, page) as visit:
        visit.get_by_text("Live", exact=True).wait_for()
        held: list[Any] = []
        visit.route("**/predict", lambda route: held.append((route, route.fetch())))
        drop(visit, list(field(tmp_path / "mine", "a").files))
        until(visit, lambda: held)
        visit.locator("#field .field-id", has_text="a").wait_for()
        visit.get_by_text("Where it comes from").press("Enter")
        held[0][0].fulfill(response=held[0][1])
        until(visit, lambda: not visit.locator("#sending").inner_text())
        assert visit.locator("#field details[open]").count() == 1
        assert visit.locator("#follow").get_attribute("aria-pressed") == "false"


def test_a_late_answer_does_not_replace_the_last_choice(page: Page, browser: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        page.send(*field(tmp_path / "mine", name, seed=ord(name)).files)
    with visiting(browser, page) as visit:
        waiting = hold(visit, "**/results*label=*")
        visit.locator(".count").first.click()
        until(visit, lambda: waiting)
        visit.locator("#show").select_option("failed=true")
        visit.get_by_text("No field yet").wait_for()
        with visit.expect_response("**/results*label=*"):
            waiting[0].continue_()
        visit.wait_for_timeout(300)
        assert visit.locator("[role=option]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_is_found_by_the_automatic_check(
    station: Station, browser: Any, tmp_path: Path, scheme: str
) -> None:
    if not AXE.is_file():
        pytest.skip(f"no axe-core at {AXE}: 'make test-page' fetches it")
    with serving(station, watches=True) as page:
        page.send(*field(tmp_path / "mine", "good").files)
        field(station.watch, "bad").files[0].write_bytes(b"")
        wait_until(lambda: page.get("/health")["failed"])
        # The check itself is a script from elsewhere, which the page would not let in.
        with visiting(browser, page, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce") as visit:
            visit.locator(".failure").wait_for()
            drop(visit, list(field(tmp_path / "mine", "half").files[:2]))
            visit.get_by_role("button", name="Dismiss").wait_for()
            assert barriers(visit) == []
            visit.locator("[role=option]", has_text="good").click()
            visit.locator("#field .field-head").wait_for()
            visit.get_by_text("Where it comes from").click()
            assert barriers(visit) == []


def barriers(visit: Any) -> list[str]:
    visit.add_script_tag(path=str(AXE))
    found = visit.evaluate("axe.run().then((result) => result.violations)")
    return [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in found if one["impact"] in SERIOUS]


SERIOUS = {"moderate", "serious", "critical"}


def test_a_browser_enters_with_the_token(tmp_path: Path, model: Path, browser: Any) -> None:
    station = make_station(tmp_path, model)
    with serving(station, token=TOKEN) as page, visiting(browser, page) as visit:
        visit.get_by_label("Token").fill(TOKEN)
        visit.get_by_role("button", name="Open the page").click()
        visit.get_by_text("Live", exact=True).wait_for()
        assert TOKEN not in visit.url
        drop(visit, list(field(tmp_path / "mine", "a").files))
        visit.locator("#field .field-head").wait_for()
