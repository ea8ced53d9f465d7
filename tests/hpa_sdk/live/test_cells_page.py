"""The page shows the cells of the field that is chosen, by mouse, keyboard and to a screen reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpa_sdk.cells.outlines import UNLABELLED, colour_of
from hpa_sdk.prediction import Prediction
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.station import Station
from tests.browser import AXE
from tests.hpa_sdk.cells.made_answers import FAILED
from tests.hpa_sdk.cells.made_fields import FOUR, draw
from tests.hpa_sdk.live.browsing import drop, visiting
from tests.hpa_sdk.live.celled import add_field, with_cells, write_table
from tests.hpa_sdk.live.serving import serving
from tests.hpa_sdk.live.test_page import barriers
from tests.small import write_planes

pytestmark = pytest.mark.slow


def test_a_field_shows_its_cells(station: Station, browser: Any) -> None:
    answers = add_field(station, "A01", cells=20)
    paths = "#field .stage path"
    with serving(with_cells(station)) as page, visiting(browser, page) as visit:
        visit.locator(paths).first.wait_for()
        assert visit.locator(paths).count() == len(answers.answers)
        strokes = visit.locator(paths).evaluate_all("(paths) => paths.map((path) => path.getAttribute('stroke'))")
        for stroke, answer in zip(strokes, answers.answers, strict=True):
            colour = UNLABELLED
            if isinstance(answer, Prediction) and answer.labels:
                colour = colour_of(max(map(int, answer), key=lambda index: answer.probabilities[index]))
            assert stroke == "rgb({} {} {})".format(*colour)
        visit.locator(paths).nth(2).focus()
        visit.keyboard.press("ArrowDown")
        visit.keyboard.press("Enter")
        assert "no nucleus" in visit.locator(".cell caption").inner_text()
        assert (
            visit.locator(f"{paths}:focus")
            .get_attribute("aria-label")
            .startswith(f"Cell {answers.segmentation.cells[FAILED].number}:")
        )
        visit.keyboard.press("ArrowUp")
        visit.keyboard.press("Enter")
        rows = visit.locator(".cell tr").all_inner_texts()
        shown = [label.hpa_name for label in answers.answers[2]]  # type: ignore[union-attr]
        assert sorted(row.split("\t")[0].strip("✓\n") for row in rows[: len(shown)]) == sorted(shown)
        share = visit.locator(".share").first
        share.click()
        index = int(share.get_attribute("data-label"))
        expected = sum(isinstance(one, Prediction) and index in map(int, one) for one in answers.answers)
        assert visit.locator(f"{paths}:not(.dim)").count() == expected
        assert "95 % interval" in share.get_attribute("title")


def test_a_field_that_is_dropped_shows_its_cells(station: Station, browser: Any, tmp_path: Path) -> None:
    with serving(with_cells(station)) as page, visiting(browser, page) as visit:
        visit.get_by_text("Live", exact=True).wait_for()
        drop(visit, list(write_planes(tmp_path / "mine", "A01", draw(FOUR)).files))
        visit.locator("#field .field-id", has_text="A01").wait_for()
        visit.locator(".stage path").first.wait_for()
        (result,) = page.get("/results")["results"]
        found = page.get(f"/cells/{result['id']}")["cells"]
        assert len(found) == len(FOUR)
        strokes = visit.locator(".stage path").evaluate_all("(all) => all.map((path) => path.getAttribute('stroke'))")
        for stroke, one in zip(strokes, found, strict=True):
            index = max(one["indices"], key=lambda index: one["probabilities"][index], default=None)
            assert stroke == "rgb({} {} {})".format(*(UNLABELLED if index is None else colour_of(index)))
        visit.locator(".stage path").first.dispatch_event("click")
        assert visit.locator(".cell caption").inner_text().startswith("Cell 1:")
        share = result["cells"]["shares"][0]
        shown = visit.locator(f".share[data-label='{share['index']}']").inner_text()
        assert f"{share['shown']}/{len(FOUR)}" in shown
        drop(visit, list(write_planes(tmp_path / "mine", "empty", draw([])).files))
        visit.locator(".no-cells", has_text="no nucleus was found").wait_for()
        assert visit.locator(".stage path").count() == 0


def test_how_the_cells_were_found_is_shown(station: Station, browser: Any, tmp_path: Path) -> None:
    masked = "the metadata of the mask name it '<img src=x onerror=alert(1)>': check that it is of this field"
    add_field(station, "A01", notes=(masked, "2 cells in pieces"))
    planes = draw(FOUR)
    planes[[0, 3]] = 0
    with serving(with_cells(station)) as page, visiting(browser, page) as visit:
        notes = visit.locator("#field .cells .cell-notes li")
        notes.first.wait_for()
        assert notes.all_inner_texts() == [masked, "2 cells in pieces"]
        assert visit.locator("#field .cell-notes img").count() == 0
        drop(visit, list(write_planes(tmp_path / "mine", "dark", planes).files))
        visit.locator(".cell-notes", has_text="neither the red nor the yellow plane shows cells").wait_for()


def test_a_result_of_an_earlier_version_has_no_notes(station: Station, browser: Any) -> None:
    add_field(station, "A01")
    with ResultStore(station.output) as store:
        (content,) = store.ledger.rows("SELECT content FROM results")[0]
        older = content.replace(b',"notes":["2 cells in pieces"]', b"")
        assert older != content
        store.ledger.rows("UPDATE results SET content = ?", older)
    with serving(with_cells(station)) as page, visiting(browser, page) as visit:
        visit.locator(".stage path").first.wait_for()
        assert visit.locator(".cell-notes").count() == 0


def test_fields_with_mixed_cells_are_listed(station: Station, browser: Any) -> None:
    add_field(station, "one", cells=1)
    add_field(station, "many", cells=40)
    with serving(with_cells(station)) as page, visiting(browser, page) as visit:
        visit.locator("#show").select_option(label="where only some cells show a label")
        visit.locator("[role=option]", has_text="one").wait_for(state="detached")
        assert visit.locator("[role=option]").count() == 1


def test_why_cells_are_not_shown(station: Station, browser: Any) -> None:
    answers = add_field(station, "A01")
    table = write_table(station.output, answers)
    table.unlink()
    with serving(with_cells(station)) as page, visiting(browser, page) as visit:
        visit.locator(".no-cells", has_text="the table of its cells can't be used").wait_for()
        assert visit.locator(".stage path").count() == 0
        assert visit.locator(".share").count() > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_is_found_in_cells(station: Station, browser: Any, scheme: str) -> None:
    if not AXE.is_file():
        pytest.skip(f"no axe-core at {AXE}: 'make test-page' fetches it")
    add_field(station, "A01", cells=20)
    with (
        serving(with_cells(station)) as page,
        visiting(browser, page, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce") as visit,
    ):
        visit.locator(".stage path").first.focus()
        visit.keyboard.press("Enter")
        visit.locator(".share").first.click()
        visit.locator(".cell caption").wait_for()
        assert barriers(visit) == []
