"""Tests the rows of cells: what is written is read back, by this project and by other readers."""

from __future__ import annotations

import csv
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import shapely
from pyarrow import parquet
from scipy.stats import binomtest

from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.cells_file import CellResult, has_cells, read_cells
from hpa_sdk.cells.summary import SUMMARY_COLUMNS, open_summary, summarize, wilson_interval
from hpa_sdk.cells.writers import CELL_COLUMNS, FORMS, open_cell_writer
from hpa_sdk.errors import OutputError, PlaneError, TableError
from hpa_sdk.labels import HPA_2018, HPA_2021, LabelScheme
from hpa_sdk.prediction import Failure
from hpa_sdk.results.writers import open_writer
from tests.hpa_sdk.cells.label_images import discs
from tests.hpa_sdk.cells.made_answers import FAILED, answers_of

GONE = Failure("gone; 2", PlaneError("the field has no mask", where="gone; 2", remedy="Make one."))
OWN = LabelScheme("own", ("Apical", "Basal"))


def _written(path: Path, *answers: CellAnswers | Failure, scheme: LabelScheme = HPA_2018) -> list[CellResult]:
    with open_cell_writer(path, path.suffix[1:], scheme) as writer:
        for answer in answers:
            writer.write(answer)
    return list(read_cells(path))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scheme", [HPA_2018, HPA_2021, OWN], ids=lambda scheme: scheme.name)
def test_cells_are_read_back_as_written(tmp_path: Path, form: str, scheme: LabelScheme) -> None:
    answers = answers_of(discs(12, step=70_000), id="plate/é;1", scheme=scheme, files=(tmp_path,))
    empty = answers_of(np.zeros((32, 32), np.int32), id="empty", scheme=scheme)
    *cells, gone, none = _written(tmp_path / f"cells.{form}", answers, GONE, empty, scheme=scheme)
    assert len(cells) == len(answers.answers) == 12
    for at, (found, cell, answer) in enumerate(zip(cells, answers.segmentation.cells, answers.answers, strict=True)):
        assert found.result.id == "plate/é;1"
        assert found.cell is not None
        assert (found.cell.number, found.cell.box, found.cell.area) == (cell.number, cell.box, cell.area)
        assert found.cell.centre == pytest.approx(cell.centre, abs=0.01)
        assert found.cell.area_um2 == pytest.approx(cell.area / 16)
        assert found.cell.border == cell.border
        drawn = shapely.MultiPolygon([shapely.Polygon(piece) for piece in found.outline])
        assert drawn.area == pytest.approx(cell.area, rel=0.2)
        assert (found.segmentation, found.pixel_size) == ("field 1_cells.tif", 0.25)
        if isinstance(answer, Failure):
            assert at == FAILED
            assert "no nucleus" in str(found.result.error)
            continue
        assert found.result.error is None
        assert found.result.indices == tuple(sorted(map(int, answer)))
        np.testing.assert_array_equal(np.array(found.result.probabilities, np.float32), answer.probabilities)
        assert found.result.notes == ("read as it is", "2 cells in pieces")
        assert found.result.files == (str(tmp_path),)
        assert found.embedding == (tuple(answer.embedding.tolist()) if form == "parquet" else ())
    assert gone.cell is none.cell is None
    assert "has no mask" in str(gone.result.error)
    assert "the field has no cells (2 cells in pieces)" in str(none.result.error)
    assert none.segmentation == "field 1_cells.tif"


@pytest.mark.parametrize("form", FORMS)
def test_texts_are_the_same_in_every_form(tmp_path: Path, form: str) -> None:
    """Names of files can be no Unicode, and notes can have the sign between notes."""
    notes = ("the metadata of the mask name it 'a;b'", "[of \udcff]")
    answers = answers_of(discs(5), id="f\udcff", files=(tmp_path,), found=notes)
    found = replace(answers.segmentation, source="f\udcff.tif")
    empty = replace(answers_of(np.zeros((32, 32), np.int32), id="none", found=notes).segmentation, source="f\udcff.tif")
    path = tmp_path / f"cells.{form}"
    *cells, none = _written(
        path, replace(answers, segmentation=found), CellAnswers(id="g", segmentation=empty, answers=())
    )
    if form == "jsonl":
        assert all(msgspec.json.decode(line) for line in path.read_bytes().splitlines())
    assert {cell.result.id for cell in cells} == {r"f\udcff"}
    assert {cell.segmentation for cell in (*cells, none)} == {r"f\udcff.tif"}
    expected = ("read as it is", notes[0], r"[of \udcff]")
    assert {cell.result.notes for cell in cells if cell.result.error is None} == {expected}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_cells_may_begin_with_failures(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"cells.{form}"
    assert len(_written(path, *(GONE,) * 101, answers_of(discs(5)))) == 106
    assert has_cells(path)


def test_columns_are_those_of_fields_and_of_cells(tmp_path: Path) -> None:
    answers = answers_of(discs(5))
    for form in FORMS:
        _written(tmp_path / f"cells.{form}", answers)
        with open_writer(tmp_path / f"fields.{form}", form) as writer:
            writer.write(answers.answers[0])
    tables = {}
    for name in ("cells", "fields"):
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            tables[name, "csv"] = next(csv.reader(file))
        lines = (tmp_path / f"{name}.jsonl").read_text("utf-8").splitlines()
        tables[name, "jsonl"] = list(json.loads(lines[0]))
        tables[name, "parquet"] = parquet.read_schema(tmp_path / f"{name}.parquet").names
    for form in FORMS:
        first, *rest = tables["fields", form]
        assert tables["cells", form] == [first, *CELL_COLUMNS, *rest]


def test_a_file_without_cells_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fields.csv"
    with open_writer(path, "csv") as writer:
        writer.write(answers_of(discs(5)).answers[0])
    assert not has_cells(path)
    with pytest.raises(TableError, match="not of cells"):
        list(read_cells(path))
    _written(path, GONE, answers_of(discs(5)))
    assert has_cells(path)


def test_a_damaged_row_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    _written(path, answers_of(discs(5)))
    lines = path.read_text("utf-8").splitlines()
    lines[2] = lines[2].replace(",2,", ",two,", 1)
    lines[3] = lines[3].replace("POLYGON", "POLYGONE", 1)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    found = list(read_cells(path))
    assert [cell.cell is None for cell in found] == [False, True, True, False, False]
    assert "can't be used" in str(found[1].result.error)
    assert not found[1].result.labels


def test_a_class_with_the_name_of_a_column_is_refused(tmp_path: Path) -> None:
    scheme = LabelScheme("own", ("Area", "Basal"))
    for form in ("csv", "parquet"):
        with pytest.raises(OutputError, match="'Area' has the name of a column"):
            _written(tmp_path / f"cells.{form}", scheme=scheme)
    assert not list(tmp_path.iterdir())
    (found,) = _written(tmp_path / "cells.jsonl", answers_of(np.ones((20, 20), np.int32), scheme=scheme), scheme=scheme)
    assert found.result.scheme == "own"


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_memory_does_not_grow_with_the_fields(tmp_path: Path, form: str) -> None:
    answers = answers_of(discs(30))
    with open_cell_writer(tmp_path / f"cells.{form}", form) as writer:
        for _ in range(20):
            writer.write(answers)
        tracemalloc.start()
        for _ in range(60):
            writer.write(answers)
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert grown < 2e6


def test_an_interrupted_file_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    _written(path, answers_of(discs(5)))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), open_cell_writer(path, "csv") as writer:
        writer.write(answers_of(discs(9)))
        raise KeyboardInterrupt
    assert path.read_bytes() == before


@pytest.mark.parametrize(("shown", "cells"), [(0, 1), (1, 1), (0, 12), (5, 12), (12, 12), (317, 4000)])
def test_intervals_are_those_of_scipy(shown: int, cells: int) -> None:
    expected = binomtest(shown, cells).proportion_ci(0.95, method="wilson")
    assert wilson_interval(shown, cells) == pytest.approx((expected.low, expected.high))


def test_a_summary_counts_the_cells_of_each_label(tmp_path: Path) -> None:
    answers = answers_of(discs(40))
    pairs = [
        (cell.border, answer)
        for cell, answer in zip(answers.segmentation.cells, answers.answers, strict=True)
        if not isinstance(answer, Failure)
    ]
    summary = summarize(answers)
    assert summary.failed == 1
    assert summary.cells == sum(not border for border, _ in pairs)
    assert summary.border_cells == sum(border for border, _ in pairs) > 0
    assert {share.label for share in summary.labels} == {label.hpa_name for _, answer in pairs for label in answer}
    for share in summary.labels:
        shown = [border for border, answer in pairs if HPA_2018.from_name(share.label) in answer]
        assert share.shown == shown.count(False)
        assert share.border_shown == shown.count(True)
        assert share.low <= share.share == share.shown / summary.cells <= share.high
    assert [share.shown for share in summary.labels] == sorted((share.shown for share in summary.labels), reverse=True)
    empty = answers_of(np.zeros((32, 32), np.int32), id="empty")
    with open_summary(tmp_path / "fields.csv") as writer:
        for answer in (answers, GONE, empty):
            writer.write(answer)
    with (tmp_path / "fields.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == SUMMARY_COLUMNS
    assert [row["id"] for row in rows] == ["field 1"] * len(summary.labels) + ["gone; 2", "empty"]
    assert rows[0]["shown"] == str(summary.labels[0].shown)
    assert "no mask" in rows[-2]["error"]
    assert (rows[-1]["cells"], rows[-1]["label"]) == ("0", "")
    assert "the field has no cells (2 cells in pieces)" in rows[-1]["error"]
