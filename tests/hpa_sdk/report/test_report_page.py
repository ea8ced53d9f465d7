"""The report in a real browser: everything is there, by mouse and by keyboard, and nothing is fetched from anywhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpa_sdk import Sample
from hpa_sdk.report.build import Sources, make_report
from tests.browser import AXE
from tests.hpa_sdk.report.conftest import COUNT, HOSTILE, write_results
from tests.hpa_sdk.report.test_answered_files import CHANGED, LIKE, predict
from tests.small import make_model, random_planes, write_planes

pytestmark = pytest.mark.slow


@contextmanager
def visiting(browser: Any, report: Path, **options: Any) -> Iterator[Any]:
    """Open the report, and check at the end that it asked for no other file and that no script failed."""
    asked: list[str] = []
    wrong: list[str] = []
    context = browser.new_context(viewport={"width": 1300, "height": 900}, **options)
    visit = context.new_page()
    visit.on("request", lambda request: asked.append(request.url))
    visit.on("pageerror", lambda error: wrong.append(str(error)))
    visit.on("console", lambda message: wrong.append(message.text) if message.type in {"error", "warning"} else None)
    visit.on("dialog", lambda dialog: wrong.append(dialog.message))
    visit.goto(report.as_uri())
    try:
        yield visit
        assert {url for url in asked if not url.startswith("data:")} == {report.as_uri()}
        assert wrong == []
    finally:
        context.close()


def open_first(visit: Any) -> None:
    visit.locator(".card", has=visit.locator("img")).first.click()
    visit.locator("#stage canvas").first.wait_for()


def close_field(visit: Any) -> None:
    """Close the large view by keyboard; a little later, the focus is on the card of its field."""
    visit.keyboard.press("Escape")
    visit.locator(".card:focus").wait_for()


def test_the_summary_counts_what_there_is(report: Path, browser: Any) -> None:
    with visiting(browser, report) as visit:
        tiles = dict(reversed(text.split("\n")) for text in visit.locator("#tiles .panel").all_inner_texts())
        assert (tiles["fields"], tiles["failed"], tiles["with a mistake"]) == (str(COUNT), "1", str(COUNT - 1))
        assert "the plane is damaged" in visit.locator("#failures").inner_text()
        assert visit.locator("#side dd").first.inner_text() == HOSTILE
        row = visit.locator("#classes tr", has_text="Cytosol").inner_text()
        assert f"\t{COUNT - 1}\t" in row


@pytest.mark.parametrize("warning", ["", "Not for diagnosis."])
def test_what_the_model_is_not_for_is_shown(browser: Any, fields: list[Sample], tmp_path: Path, warning: str) -> None:
    model = make_model(tmp_path / "warned.onnx", warning=warning)
    page = tmp_path / "report.html"
    make_report(Sources(results=predict(model, tmp_path / "results.csv", fields[0].files[0].parent)), page=page)
    with visiting(browser, page) as visit:
        visit.locator(".card").first.wait_for()
        assert visit.locator("#warning").is_visible() == bool(warning)
        assert visit.locator("#warning").text_content() == (warning and f"The model small: {warning}")


def test_fields_with_warnings_are_marked_found_and_explained(model: Path, browser: Any, tmp_path: Path) -> None:
    planes = random_planes(np.random.default_rng(4))
    samples = [write_planes(tmp_path / "planes", "good", planes)]
    planes[1] = 0
    samples.append(write_planes(tmp_path / "planes", "spoiled", planes))
    write_results(tmp_path / "results.csv", model, samples)
    made = tmp_path / "report.html"
    make_report(Sources(results=tmp_path / "results.csv", planes=[tmp_path / "planes"]), page=made)
    with visiting(browser, made) as visit:
        visit.locator("#tiles button", has_text="with a warning").click()
        assert visit.locator(".card").count() == 1
        assert visit.locator(".badge").inner_text() == "⚠ warning"
        open_first(visit)
        assert "The green plane is empty" in visit.locator("#facts").inner_text()


def test_the_first_fields_are_on_the_first_screen(report: Path, browser: Any) -> None:
    with visiting(browser, report) as visit:
        visit.locator("#classes tbody").evaluate(
            "(rows) => rows.append(...[...Array(28)].map(() => rows.firstChild.cloneNode(true)))"
        )
        visit.locator("#failures").evaluate("(failures) => failures.remove()")
        assert visit.locator(".card").first.bounding_box()["y"] < 700


def test_fields_are_filtered_sorted_and_found(report: Path, browser: Any) -> None:
    with visiting(browser, report) as visit:
        assert visit.locator("#sort").input_value() == "wrong"
        cards = visit.locator(".card")
        visit.locator("#show").select_option("failed")
        assert cards.count() == 1
        assert "the plane is damaged" in cards.inner_text()
        visit.locator("#show").select_option("all")
        visit.locator("#find").fill("FIELD-02")
        assert "the red plane is missing" in cards.inner_text()
        visit.locator("#find").fill("")
        visit.locator("#classes button", has_text="Cytosol").click()
        assert visit.locator("#class").input_value() == "25"
        assert visit.locator("#shown").inner_text() == f"{COUNT - 1} of {COUNT} fields"
        visit.locator("#sort").select_option("class")
        values = cards.first.locator(".scores > *").all_inner_texts()
        best = float(values[values.index("Cytosol") + 2])
        visit.locator("#more").scroll_into_view_if_needed()
        cards.nth(COUNT - 2).wait_for()
        shown = cards.last.locator(".scores > *").all_inner_texts()
        assert float(shown[shown.index("Cytosol") + 2]) <= best


def test_all_cards_come_after_a_change_at_the_end(report: Path, browser: Any) -> None:
    with visiting(browser, report) as visit:
        cards = visit.locator(".card")
        visit.locator("#more").scroll_into_view_if_needed()
        cards.nth(COUNT - 1).wait_for()
        visit.locator("#more").scroll_into_view_if_needed()
        visit.wait_for_timeout(300)
        # A person does so where the tools stick to the top of the window.
        visit.locator("#sort").evaluate("(sort) => { sort.value = 'order'; sort.onchange(); }")
        cards.nth(COUNT - 1).wait_for()


def test_a_field_opens_large_with_its_four_planes(report: Path, browser: Any) -> None:
    with visiting(browser, report) as visit:
        open_first(visit)
        assert visit.locator("#facts .scores .name").count() == 28
        assert "64 \N{MULTIPLICATION SIGN} 64 pixels, full size" in visit.locator("#look > p").inner_text()
        composite = pixels(visit)
        control(visit, "Four planes").click()
        assert visit.locator("#stage canvas").count() == 4
        assert visit.locator("#stage figcaption").all_inner_texts()[1] == "Protein"
        protein = pixels(visit, 1)
        assert (protein == protein[..., :1]).all()
        for name in ("Microtubules", "Nucleus", "Endoplasmic reticulum"):
            control(visit, name).click()
        assert (pixels(visit) == protein).all()
        control(visit, "Composite").click()
        assert (pixels(visit) == composite).all()
        control(visit, "Magenta").click()
        assert (pixels(visit) != composite).any()
        visit.get_by_label("Brightness").fill("2")
        assert pixels(visit).mean() > composite.mean()


def control(visit: Any, name: str) -> Any:
    return visit.locator("#controls button", has_text=name)


def pixels(visit: Any, at: int = 0) -> np.ndarray[Any, Any]:
    """Read what a canvas shows."""
    values = (
        visit.locator("#stage canvas")
        .nth(at)
        .evaluate("(c) => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]")
    )
    return np.array(values).reshape(64, 64, 4)[..., :3]


def test_hands_on_the_keyboard_reach_everything(report: Path, browser: Any) -> None:
    with visiting(browser, report) as visit:
        visit.locator(".card").first.focus()
        visit.keyboard.press("ArrowRight")
        visit.keyboard.press("Enter")
        name = visit.locator("#name")
        assert visit.locator("#place").inner_text().startswith("2 of")
        first = name.inner_text()
        visit.keyboard.press("ArrowRight")
        assert name.inner_text() != first
        visit.keyboard.press("f")
        visit.locator("#stage canvas").nth(3).wait_for()
        visit.keyboard.press("ArrowLeft")
        assert name.inner_text() == first
        close_field(visit)
        assert not visit.locator("dialog").is_visible()
        assert first in visit.evaluate("document.activeElement.innerText")


def test_fields_without_answer_or_picture_open_too(report: Path, browser: Any) -> None:
    with visiting(browser, report) as visit:
        for name, reason in (("field-01", "the plane is damaged"), ("field-02", "the red plane is missing")):
            visit.locator("#find").fill(name)
            visit.locator(".card").click()
            assert reason in visit.locator("#facts").inner_text()
            close_field(visit)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_a_reader(report: Path, browser: Any, scheme: str) -> None:
    if not AXE.is_file():
        pytest.skip(f"no axe-core at {AXE}: 'make test-page' fetches it")
    # The check itself is a script from elsewhere, which the page would not let in.
    with visiting(browser, report, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce") as visit:
        assert visit.evaluate("document.documentElement.dataset.theme") == scheme
        visit.locator(".card img").first.wait_for()
        visit.add_script_tag(path=str(AXE))
        assert barriers(visit) == []
        open_first(visit)
        assert barriers(visit) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_known_of_a_picture_can_be_read(
    browser: Any, model: Path, fields: list[Sample], tmp_path: Path, scheme: str
) -> None:
    results = predict(model, tmp_path / "results.csv", fields[0].files[0].parent)
    shutil.copytree(fields[0].files[0].parent, tmp_path / "copy")
    for at in (0, 1, 2):
        fields[at].files[0].touch()
    fields[3].files[0].unlink()
    (tmp_path / "copy" / fields[2].files[0].name).touch()
    expected = {"field-0": LIKE, "field-1": LIKE, "field-2": CHANGED, "field-3": LIKE, "field-4": ""}
    page = tmp_path / "report.html"
    make_report(Sources(results=results, planes=[tmp_path / "copy"]), page=page)
    with visiting(browser, page, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce") as visit:
        visit.locator(".card img").nth(3).wait_for()
        for name, text in expected.items():
            card = visit.locator(".card", has_text=name)
            assert text in card.locator(".sight").inner_text()
            assert card.locator("img").count() == (text != CHANGED)
            card.click()
            assert (text in visit.locator("#caption").inner_text()) == (text != CHANGED)
            assert visit.locator("#caption").is_visible() == (text == LIKE)
            close_field(visit)
        if AXE.is_file():
            visit.add_script_tag(path=str(AXE))
            assert barriers(visit) == []


def barriers(visit: Any) -> list[str]:
    found = visit.evaluate("axe.run().then((result) => result.violations)")
    return [f"{one['id']}: {[node['html'] for node in one['nodes']][:3]}" for one in found]
