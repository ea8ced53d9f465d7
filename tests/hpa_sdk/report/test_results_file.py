"""Results are read alike from every format."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from hpa_sdk import HpaError, Predictor, Sample
from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_ledger import Ledger
from hpa_sdk.results.result_store import LEDGER, TABLE, ResultStore
from hpa_sdk.results.results_file import read_results
from tests.hpa_sdk.report.conftest import write_results
from tests.small import make_field


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_it_reads_what_predict_writes(model: Path, fields: list[Sample], tmp_path: Path, form: str) -> None:
    path = tmp_path / f"results.{form}"
    write_results(path, model, fields, failed="field-1")
    found = list(read_results(path))
    assert [result.id for result in found] == [sample.id for sample in fields]
    assert found[1].error is not None
    assert "the plane is damaged" in found[1].error.what
    for result, prediction in zip(found, Predictor.load(model, device="cpu").predict(fields), strict=True):
        if result.error is None:
            assert result.indices == tuple(map(int, prediction))
            np.testing.assert_array_equal(np.float32(result.probabilities), prediction.probabilities)  # type: ignore[arg-type]
            assert result.files == tuple(file.path for file in prediction.files)
            assert result.stamps == tuple(file.stamp for file in prediction.files)


def test_it_reads_what_watch_writes(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    known = {"model_sha256": "ab", "device": "cpu", "notes": ["a note"]}
    answers = Predictor.load(model, device="cpu").predict(fields)
    expected = [
        Result.of(answer, files=sample.files, **known)  # type: ignore[arg-type]
        for answer, sample in zip(answers, fields, strict=True)
    ]
    with ResultStore(tmp_path) as store:
        store.add(*expected)
        store.publish()
    assert list(read_results(tmp_path)) == expected
    assert list(read_results(tmp_path / LEDGER)) == expected
    in_table = list(read_results(tmp_path / TABLE))
    assert [(result.id, result.files, result.stamps, result.notes, result.time) for result in in_table] == [
        (result.id, result.files, result.stamps, result.notes, result.time) for result in expected
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_path_with_a_semicolon_is_one_path(model: Path, tmp_path: Path, form: str) -> None:
    sample = make_field(tmp_path / "a;b [c]", "x", np.random.default_rng(1))
    path = tmp_path / f"results.{form}"
    write_results(path, model, [sample])
    (result,) = read_results(path)
    assert result.files == tuple(map(str, sample.files))
    assert len(result.stamps) == 4


def test_tables_of_earlier_versions_are_read_on(tmp_path: Path) -> None:
    table = tmp_path / "results.csv"
    table.write_text("id,labels,error,files\na,,,[x]/a_red.png;b\nb,,,a;b/c.png\n", encoding="utf-8")
    assert [(result.files, result.stamps) for result in read_results(table)] == [
        (("[x]/a_red.png", "b"), ()),
        (("a", "b/c.png"), ()),
    ]


@pytest.mark.parametrize(
    "cells",
    ["/a;/b,1 2 3 4 -", "/a,1", "/a,x 2 3 4 -", '"[1, 2]",', "/a", "/a,,more", "/a,1 2 3 4 -;1 2 3 4 -"],
)
def test_a_row_of_unfit_files_costs_itself_alone(tmp_path: Path, cells: str) -> None:
    table = tmp_path / "results.csv"
    good = "b,,,/b,1 2 3 4 -"
    table.write_text(f"id,labels,error,files,stamps\na,,,{cells}\n{good}\n", encoding="utf-8")
    bad, result = read_results(table)
    assert (bad.id, bad.error is None, result.error) == ("a", False, None)
    assert result.stamps == (FileStamp(1, 2, 3, 4),)


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "a", "labels": [], "files": ["/a"], "stamps": [[1, "x", null, null, null]]}',
        '{"id": "a", "labels": [], "files": ["/a"], "stamps": [[1]]}',
        '{"id": "a", "labels": [], "files": [1]}',
        f'{{"id": "a", "labels": [], "probabilities": [{"0, " * 27}1{"0" * 400}]}}',
        f'{{"id": "a", "labels": [{"1" * 5000}]}}',
        "[" * 100_000,
    ],
    ids=range(6),
)
def test_a_line_that_is_unfit_costs_itself_alone(tmp_path: Path, line: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(f'{line}\n{{"id": "b", "labels": []}}\n', encoding="utf-8")
    bad, result = read_results(path)
    assert (bad.error is None, result.id, result.error) == (False, "b", None)


def test_a_row_that_is_cut_short_is_no_empty_label_set(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_results(path, model, fields)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], "field-1,"]), encoding="utf-8")
    first, cut = read_results(path)
    assert first.error is None
    assert cut.error is not None
    assert (cut.id, "cut short" in cut.error.what) == ("field-1", True)


def test_a_bad_row_costs_no_other_row_its_place(results: Path) -> None:
    lines = results.read_text(encoding="utf-8").splitlines()
    bad = ["{", "[]", '{"id": "x", "labels": ["no such"]}', '{"id": "y", "labels": [], "probabilities": [0.5]}']
    results.write_text("\n".join([*bad, *lines]), encoding="utf-8")
    found = list(read_results(results))
    assert [result.id for result in found[:4]] == ["row 1", "row 2", "x", "y"]
    assert all(result.error is not None for result in found[:4])
    assert [result.error is None for result in found[4:]] == [True, False, True, True, True]


def test_damage_in_the_middle_costs_its_row_alone(results: Path, model: Path, fields: list[Sample]) -> None:
    """Bytes that are no text, a quote that is not closed, empty rows: everything after them is read."""
    lines = results.read_bytes().splitlines()
    results.write_bytes(b"\n".join([lines[0], b'{"id": "x\xff"}', b"", b'{"id": "y', *lines[1:]]))
    found = list(read_results(results))
    assert [result.error is not None for result in found] == [False, True, True, True, False, False, False]
    table = results.with_suffix(".csv")
    write_results(table, model, fields)
    rows = table.read_bytes().splitlines()
    table.write_bytes(b"\n".join([*rows[:2], b'"x,a', b",,,", *rows[2:4], b"\x81,,,", *rows[4:]]))
    found = list(read_results(table))
    assert [result.id for result in found if result.error is None] == [sample.id for sample in fields]
    assert [result.error.what for result in found if result.error is not None] == [
        "the row has a quote that is not closed",
        "the row is neither UTF-8 nor Windows-1252 text",
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_results_are_read_as_other_programs_save_them(
    model: Path, fields: list[Sample], tmp_path: Path, form: str, encoding: str
) -> None:
    path = tmp_path / f"results.{form}"
    write_results(path, model, fields)
    expected = list(read_results(path))
    path.write_text(path.read_text(encoding="utf-8"), encoding=encoding, newline="\r\n")
    assert list(read_results(path)) == expected
    if form == "csv":  # a spreadsheet in Europe
        table = list(csv.reader(path.read_text(encoding=encoding).splitlines()))
        with path.open("w", encoding=encoding, newline="") as file:
            csv.writer(file, delimiter=";").writerows([*table, [""] * len(table[0])])
        assert list(read_results(path)) == expected


def test_damage_in_a_parquet_file_costs_its_group_alone(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    path = tmp_path / "results.parquet"
    write_results(path, model, fields)
    table = parquet.read_table(path)
    parquet.write_table(table, path, row_group_size=1, compression="zstd")
    column = parquet.ParquetFile(path).metadata.row_group(1).column(4)
    content = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(content)
    found = list(read_results(path))
    assert [result.error is None for result in found] == [True, False, True, True, True]
    assert found[1].error is not None
    assert "its part of the file can't be read" in found[1].error.what


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("results.txt", Path.touch, "this holds no results"),
        ("results", Path.mkdir, "this holds no results"),
        ("results.csv", Path.touch, "the table is empty"),
        ("kaggle.csv", lambda path: path.write_text("Id,Predicted\na,0\n"), "no column 'labels': its columns are 'Id'"),
        ("results.jsonl", Path.touch, "no results in it"),
        ("empty.sqlite", lambda path: Ledger(path).close(), "no results in it"),
        ("binary.jsonl", lambda path: path.write_bytes(b"\xff\xfe"), "no results in it"),
        ("text.parquet", lambda path: path.write_text("id"), "can't be read as Parquet"),
        ("gone.csv", lambda _: None, "can't be read"),
    ],
)
def test_a_file_without_results_is_reported(
    tmp_path: Path, name: str, write: Callable[[Path], object], message: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(HpaError, match=message):
        list(read_results(tmp_path / name))
