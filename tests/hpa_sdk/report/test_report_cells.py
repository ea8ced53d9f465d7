"""The report of cells: in its content, and in a real browser."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from scipy.stats import binomtest

from hpa_sdk import Sample
from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.outlines import UNLABELLED
from hpa_sdk.cells.summary import counts_of, summarize
from hpa_sdk.cells.writers import FORMS, open_cell_writer
from hpa_sdk.cli import main
from hpa_sdk.errors import PlaneError, SettingError
from hpa_sdk.labels import HPA_2018, HPA_2021, LabelScheme
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.report.build import Sources, make_report
from hpa_sdk.review.log import ReviewLog
from tests.browser import AXE
from tests.hpa_sdk.cells.label_images import grid
from tests.hpa_sdk.cells.made_answers import answers_of
from tests.hpa_sdk.cells.made_fields import FOUR, draw
from tests.hpa_sdk.report.conftest import write_results
from tests.hpa_sdk.report.found import content_of
from tests.hpa_sdk.report.test_report_page import barriers, close_field, control, visiting
from tests.hpa_sdk.review.made_reviews import review_of, store_of
from tests.small import make_field, make_model


def _answers(fields: list[Sample], **options: Any) -> list[CellAnswers]:
    """Nine cells in each of the fields of 64 x 64 pixels; the first three touch the border."""
    labels = grid(side=64, cells=3, gap=4)
    labels[:2] = np.where(labels[2], labels[2], 0)
    return [
        answers_of(labels, id=sample.id, files=sample.files, seed=at, **options) for at, sample in enumerate(fields)
    ]


@pytest.fixture
def cells(fields: list[Sample], tmp_path: Path) -> Path:
    """Cells of five fields, and a field without a mask."""
    path = tmp_path / "cells.csv"
    _write(path, _answers(fields))
    return path


def _write(path: Path, answers: list[CellAnswers], **options: Any) -> None:
    with open_cell_writer(path, path.suffix[1:], **options) as writer:
        for answer in answers:
            writer.write(answer)
        writer.write(Failure("lost", PlaneError("the field has no mask", where="lost", remedy="Make one.")))


@pytest.mark.parametrize("form", FORMS)
def test_a_report_of_cells_has_outlines_and_shares(fields: list[Sample], tmp_path: Path, form: str) -> None:
    answers = _answers(fields)
    _write(tmp_path / f"cells.{form}", answers)
    make_report(Sources(results=tmp_path / f"cells.{form}"), page=tmp_path / "report.html")
    content = content_of(tmp_path / "report.html")
    assert len(content["cell_colours"]) == len(set(content["cell_colours"])) == 29
    assert content["cell_colours"][-1] == f"rgb({' '.join(map(str, UNLABELLED))})"
    *shown, lost = content["fields"]
    assert "no mask" in lost["error"]
    assert "cells" not in lost
    for field, answer in zip(shown, answers, strict=True):
        summary = summarize(answer)
        assert field["counts"] == [summary.cells, summary.border_cells, summary.failed]
        named = {HPA_2018.names[label]: rest for label, *rest in field["shares"]}
        for share in summary.labels:
            expected = [share.shown, share.share, share.low, share.high, share.border_shown]
            assert named.pop(share.label) == pytest.approx(expected, abs=1e-4)
        assert not named
        assert field["full"] == [64, 64]
        assert "p" not in field
        found = set()
        for cell, own, one in zip(field["cells"], answer.segmentation.cells, answer.answers, strict=True):
            top, left, bottom, right = own.box
            (outline,) = cell["o"]
            assert (min(outline[::2]), min(outline[1::2])) == (left, top)
            assert (max(outline[::2]), max(outline[1::2])) == (right, bottom)
            assert (cell["n"], cell["border"]) == (own.number, own.border)
            if isinstance(one, Prediction):
                found |= set(cell["labels"])
                assert cell["labels"] == sorted(map(int, one))
                np.testing.assert_allclose(np.divide(cell["p"], 1000), one.probabilities, atol=5.1e-4)
            else:
                assert "no nucleus" in cell["error"]
        assert field["labels"] == sorted(found)


def test_labels_of_cells_are_no_answer_for_a_field(cells: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    fields = make_report(Sources(results=cells), page=page)
    shown = [field for field in content_of(page)["fields"] if "error" not in field]
    assert all("at least one cell shows" in field["notes"][0] for field in shown)
    results = [field.result for field in fields if field.result.error is None]
    assert len(results) == len(shown) > 2
    with store_of(
        tmp_path / "store", *(replace(result, notes=(), indices=(), labels=()) for result in results)
    ) as store:
        ReviewLog(store.ledger).add_all(map(review_of, results))
    with store_of(tmp_path / "alone") as store:
        ReviewLog(store.ledger).add_all(map(review_of, results))
    texts = [CliRunner().invoke(main, ["review", "status", str(tmp_path / name)]).output for name in ("store", "alone")]
    for text in texts:
        assert f"{len(results)} reviews of labels that cells show, in no figure of a model" in text
        assert f"labels {len(results)}" in text
    # The store has answers for the fields, which are judged by what people say of these.
    assert f"0 of {len(results)} fields right" in texts[0]
    assert "model" not in texts[1].partition("\n\n")[2]


def test_cells_are_shown_with_the_results_of_fields(
    model: Path, fields: list[Sample], cells: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = tmp_path / "results.csv"
    write_results(results, model, [*fields[:3], fields[2]])
    page = tmp_path / "report.html"
    with caplog.at_level(logging.WARNING):
        make_report(Sources(results=results, cells=cells), page=page)
    assert "The cells of field-2 are not shown: several results have this id." in caplog.text
    content = content_of(page)
    assert [len(field.get("cells", ())) for field in content["fields"]] == [9, 9, 0, 0]
    assert all(len(field["p"]) == 28 for field in content["fields"])
    assert str(cells) in content["provenance"]["cells"]


def test_notes_of_cells_are_shown_with_the_results_of_fields(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    results, cells, page = (tmp_path / name for name in ("results.csv", "cells.csv", "report.html"))
    write_results(results, model, fields[:2])
    failure = PlaneError("the field has no cells (the mask has no cells)", where="m.png", remedy="Give a mask.")
    with open_cell_writer(cells, "csv") as writer:
        writer.write(_answers(fields[:1])[0])
        writer.write(Failure(fields[1].id, failure))
    make_report(Sources(results=results, cells=cells), page=page)
    first, second = content_of(page)["fields"]
    assert first["cell_notes"] == ["read as it is", "2 cells in pieces"]
    assert str(failure) in second["no_cells"]
    make_report(Sources(results=cells), page=page)
    first, second = content_of(page)["fields"]
    assert first["notes"] == ["its labels are those that at least one cell shows", "read as it is", "2 cells in pieces"]
    assert first["cell_notes"] == []
    assert ("the mask has no cells" in second["error"], second.get("no_cells")) == (True, None)


def test_cells_of_other_files_are_not_shown(
    model: Path, fields: list[Sample], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two plates have fields of the same names."""
    results, cells, page = (tmp_path / name for name in ("results.csv", "cells.csv", "report.html"))
    write_results(results, model, fields[:3])
    own, other, moved = _answers(fields[:3])
    plate = make_field(tmp_path / "plate 2", fields[1].id, np.random.default_rng(7))
    other = answers_of(other.segmentation.labels, id=other.id, files=plate.files)
    copy = [Path(shutil.copy2(file, tmp_path)) for file in fields[2].files]
    moved = answers_of(moved.segmentation.labels, id=moved.id, files=tuple(copy))
    _write(cells, [own, other, moved])
    with caplog.at_level(logging.WARNING):
        make_report(Sources(results=results, cells=cells), page=page)
    assert f"The cells of {fields[1].id} are not shown: they were found in other files." in caplog.text
    assert [len(field.get("cells", ())) for field in content_of(page)["fields"]] == [9, 0, 9]


@pytest.mark.parametrize("side", [32, 96])
def test_outlines_of_another_size_are_not_shown(fields: list[Sample], tmp_path: Path, side: int) -> None:
    labels = np.zeros((side, side), np.int32)
    labels[5:15, 5:15], labels[-10:, -10:] = 1, 2
    other = answers_of(labels, id="field-0", files=fields[0].files)
    _write(tmp_path / "cells.csv", [other, *_answers(fields)[1:]])
    make_report(Sources(results=tmp_path / "cells.csv"), page=tmp_path / "report.html")
    first, second, *_ = content_of(tmp_path / "report.html")["fields"]
    assert {len(cell["o"]) for cell in first["cells"]} == {0}
    assert any("do not fit this picture" in note for note in first["notes"])
    assert {len(cell["o"]) for cell in second["cells"]} == {1}


def test_the_picture_of_cells_is_the_whole_field(model: Path, tmp_path: Path) -> None:
    """The rules bring fields to twice their size for the model; outlines are in the pixels of the file."""
    metadata = {"axes": "CYX", "Channel": {"Name": ["red", "green", "blue", "yellow"]}}
    tifffile.imwrite(tmp_path / "A01.ome.tif", draw(FOUR), ome=True, photometric="minisblack", metadata=metadata)
    station = tmp_path / "station.toml"
    text = f"model = '{model}'\nwatch = '.'\noutput = 'out'\n[files]\npixel_size = 0.32\n"
    station.write_text(f"{text}[trained]\npixel_size = 0.16\nside = 768\n", encoding="utf-8")
    given = [str(model), str(tmp_path / "A01.ome.tif"), "--device", "cpu", "--station", str(station)]
    cells, results, page = (tmp_path / name for name in ("cells.csv", "results.csv", "report.html"))
    assert CliRunner().invoke(main, ["cells", *given, "-o", str(cells)]).exit_code == 0
    assert CliRunner().invoke(main, ["predict", *given, "-o", str(results)]).exit_code == 0
    for sources in (Sources(results=cells), Sources(results=results, cells=cells)):
        make_report(sources, page=page)
        (field,) = content_of(page)["fields"]
        assert field["full"] == [384, 384]
        assert {len(cell["o"]) for cell in field["cells"]} == {1}


def test_cells_that_do_not_belong_to_the_results_are_refused(
    model: Path, fields: list[Sample], cells: Path, tmp_path: Path
) -> None:
    results, page = tmp_path / "results.csv", tmp_path / "report.html"
    write_results(results, model, fields[:3])
    _write(tmp_path / "other.csv", [answers_of(grid(side=64, cells=3, gap=4), id="elsewhere")])
    with pytest.raises(SettingError, match="none of the cells is of a field"):
        make_report(Sources(results=results, cells=tmp_path / "other.csv"), page=page)
    _write(tmp_path / "other.csv", _answers(fields, scheme=HPA_2021), scheme=HPA_2021)
    with pytest.raises(SettingError, match="classes hpa-2018 and the cells in hpa-2021"):
        make_report(Sources(results=results, cells=tmp_path / "other.csv"), page=page)
    own, of_cells = ((*HPA_2018.names[:-1], last) for last in ("Blebs", "Filopodia"))
    write_results(results, make_model(tmp_path / "own.onnx", scheme="lab", labels=own), fields[:3])
    scheme = LabelScheme("lab", of_cells)
    _write(tmp_path / "other.csv", _answers(fields, scheme=scheme), scheme=scheme)
    with pytest.raises(SettingError, match="two label schemes of the name lab"):
        make_report(Sources(results=results, cells=tmp_path / "other.csv"), page=page)
    with pytest.raises(SettingError, match="a truth table has labels of fields"):
        make_report(Sources(results=cells, truth=results), page=page)
    assert not page.exists()


@pytest.mark.parametrize("with_fields", [False, True])
def test_cells_of_two_runs_do_not_count_twice(
    model: Path, fields: list[Sample], tmp_path: Path, *, with_fields: bool
) -> None:
    results, cells, page = (tmp_path / name for name in ("results.csv", "cells.csv", "report.html"))
    answers = _answers(fields[:2])
    _write(cells, [*answers, answers[1]])
    if with_fields:
        write_results(results, model, fields[:2])
    make_report(Sources(results=results, cells=cells) if with_fields else Sources(results=cells), page=page)
    first, second, *_ = content_of(page)["fields"]
    assert sum(first["counts"]) == len(first["cells"]) == 9
    assert "cells" not in second
    assert "2 rows of cell 1 of this field" in (second["no_cells"] if with_fields else second["error"])


def test_the_command_reports_cells(cells: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["report", str(cells), "-o", str(tmp_path / "report.html")])
    assert done.exit_code == 1  # a field has no mask
    assert "6 fields, 1 failed" in done.output


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    rng = np.random.default_rng(5)
    fields = [make_field(folder / "planes", f"field-{number}", rng) for number in range(5)]
    _write(folder / "cells.csv", _answers(fields))
    make_report(Sources(results=folder / "cells.csv"), page=folder / "report.html")
    return folder / "report.html"


@pytest.mark.slow
def test_a_click_on_a_cell_shows_its_probabilities(page: Path, browser: Any) -> None:
    field = next(one for one in content_of(page)["fields"] if one["id"] == "field-2")
    with visiting(browser, page) as visit:
        visit.locator("#find").fill("field-2")
        visit.locator(".card").click()
        paths = visit.locator("#stage path")
        paths.first.wait_for()
        assert paths.count() == 9
        canvas, drawn = visit.locator("#stage canvas").bounding_box(), paths.nth(4).bounding_box()
        side = min(canvas["width"], canvas["height"])
        middle = np.mean([(min(axis), max(axis)) for o in field["cells"][4]["o"] for axis in (o[::2], o[1::2])], axis=1)
        for start, length, at in (("x", "width", middle[0]), ("y", "height", middle[1])):
            expected = canvas[start] + (canvas[length] - side) / 2 + at * side / 64
            assert drawn[start] + drawn[length] / 2 == pytest.approx(expected, abs=2)
        paths.nth(4).click()
        best = max(range(28), key=lambda label: field["cells"][4]["p"][label])
        text = visit.locator("#facts .cell").inner_text()
        assert f"Cell {field['cells'][4]['n']}" in text
        assert f"{HPA_2018.names[best]}\n{field['cells'][4]['p'][best] / 1000:.2f}" in text
        paths.nth(3).focus()
        visit.keyboard.press("Enter")
        assert "no nucleus" in visit.locator("#facts .cell").inner_text()
        assert visit.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Cell 4")
        control(visit, "Four planes").click()
        assert paths.count() == 36
        visit.keyboard.press("o")
        assert paths.count() == 0


@pytest.mark.slow
def test_how_the_cells_were_found_is_shown(model: Path, fields: list[Sample], tmp_path: Path, browser: Any) -> None:
    results, cells, page = (tmp_path / name for name in ("results.csv", "cells.csv", "report.html"))
    write_results(results, model, fields[:2])
    note = "the metadata of the mask name it '<img src=x onerror=alert(1)>': check that it is of this field"
    failure = PlaneError("the field has no cells (<b>dark</b>)", where="m.png", remedy="Give a mask.")
    with open_cell_writer(cells, "csv") as writer:
        writer.write(_answers(fields[:1], found=(note,))[0])
        writer.write(Failure(fields[1].id, failure))
    make_report(Sources(results=results, cells=cells), page=page)
    with visiting(browser, page) as visit:
        visit.locator("#find").fill(fields[0].id)
        visit.locator(".card").click()
        visit.locator("#facts .cell-notes").wait_for()
        assert visit.locator("#facts .cells .cell-notes li").all_inner_texts() == ["read as it is", note]
        close_field(visit)
        visit.locator("#find").fill(fields[1].id)
        visit.locator(".card").click()
        assert visit.locator("#facts .no-cells").inner_text() == f"No cells: {failure}"
        assert visit.locator("#facts img, #facts b").count() == 0


@pytest.mark.slow
def test_a_label_marks_the_cells_that_show_it(page: Path, browser: Any) -> None:
    content = content_of(page)
    field = next(one for one in content["fields"] if one["id"] == "field-1")
    label = field["shares"][0][0]
    with visiting(browser, page) as visit:
        visit.locator("#find").fill("field-1")
        visit.locator(".card").click()
        visit.locator("#facts button.shares").first.click()
        visit.locator("#stage path").first.wait_for()
        marked = [cell["n"] for cell in field["cells"] if label in cell["labels"]]
        paths = visit.locator("#stage path:not(.dim)")
        assert paths.count() == len(marked)
        assert {path.get_attribute("stroke") for path in paths.all()} == {content["cell_colours"][label]}


@pytest.mark.slow
def test_fields_in_which_only_some_cells_show_a_label(page: Path, browser: Any) -> None:
    content = content_of(page)
    partial = [
        [label for label, _, _, low, high, _ in field.get("shares", ()) if low > 0.05 and high < 0.95]
        for field in content["fields"]
    ]
    label = next(label for labels in partial for label in labels)
    with visiting(browser, page) as visit:
        visit.locator("#tiles button", has_text="only some cells").click()
        assert visit.locator(".card").count() == sum(map(bool, partial))
        visit.locator("#uniformity button", has_text=HPA_2018.names[label]).first.click()
        assert visit.locator("#show").input_value() == "partial"
        assert visit.locator(".card").count() == sum(label in labels for labels in partial)
        row = visit.locator("#uniformity tr", has_text=HPA_2018.names[label]).first
        shown = [field for field in content["fields"] if label in [share[0] for share in field.get("shares", ())]]
        assert row.locator("td").last.inner_text() == str(len(shown))
        text = row.locator(".bins").get_attribute("aria-label")
        counts = [int(part.split(" at ")[0]) for part in text.removeprefix("fields by share of cells: ").split(", ")]
        assert sum(counts) == len(shown)


@pytest.mark.slow
@pytest.mark.parametrize(("shown", "mixed"), [(5, False), (6, True), (50, True), (51, False)])
def test_some_cells_are_those_of_the_live_page(
    fields: list[Sample], tmp_path: Path, browser: Any, shown: int, *, mixed: bool
) -> None:
    """Of 56 cells, 6 are some by 0.00004: the interval begins at 0.05004."""
    labels = grid(side=64, cells=8, gap=4)
    made = answers_of(np.where(labels > 57, 0, labels), id=fields[0].id, files=fields[0].files)
    answered = [at for at, answer in enumerate(made.answers) if isinstance(answer, Prediction)]
    assert len(answered) == 56
    answers = list(made.answers)
    for place, at in enumerate(answered):
        probabilities = np.where(np.arange(28) == 7, 0.9 if place < shown else 0.1, 0.1).astype(np.float32)
        before = answers[at]
        assert isinstance(before, Prediction)
        answers[at] = Prediction.from_probabilities(
            probabilities, id=before.id, thresholds=before.thresholds, embedding=before.embedding, white=before.white
        )
    field = replace(made, answers=tuple(answers))
    low, high = binomtest(shown, 56).proportion_ci(method="wilson")
    assert (low > 0.05 and high < 0.95) == mixed == (counts_of(field).mixed == (7,))
    _write(tmp_path / "cells.csv", [field])
    make_report(Sources(results=tmp_path / "cells.csv"), page=tmp_path / "report.html")
    with visiting(browser, tmp_path / "report.html") as visit:
        visit.locator("#show").select_option("partial")
        assert visit.locator(".card").count() == mixed


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_of_cells_is_accessible(page: Path, browser: Any, scheme: str) -> None:
    if not AXE.is_file():
        pytest.skip(f"no axe-core at {AXE}: 'make test-page' fetches it")
    with visiting(browser, page, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce") as visit:
        visit.locator(".card img").first.wait_for()
        visit.add_script_tag(path=str(AXE))
        assert barriers(visit) == []
        visit.locator(".card", has=visit.locator("img")).first.click()
        visit.locator("#stage path").nth(4).click()
        assert barriers(visit) == []
