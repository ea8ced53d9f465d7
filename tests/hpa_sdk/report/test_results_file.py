"""Whatever wrote the results, they are read as the same results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpa_sdk import HpaError, Predictor, Sample
from hpa_sdk.report.results_file import read_results
from hpa_sdk.workstation.ledger import Ledger
from hpa_sdk.workstation.result_store import LEDGER, TABLE, ResultStore
from hpa_sdk.workstation.results import Result
from tests.hpa_sdk.report.conftest import write_results


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
    assert [(result.id, result.files, result.notes, result.time) for result in in_table] == [
        (result.id, result.files, result.notes, result.time) for result in expected
    ]


def test_a_bad_row_costs_no_other_row_its_place(results: Path) -> None:
    lines = results.read_text(encoding="utf-8").splitlines()
    bad = ["{", "[]", '{"id": "x", "labels": ["no such"]}', '{"id": "y", "labels": [], "probabilities": [0.5]}']
    results.write_text("\n".join([*bad, *lines]), encoding="utf-8")
    found = list(read_results(results))
    assert [result.id for result in found[:4]] == ["row 1", "row 2", "x", "y"]
    assert all(result.error is not None for result in found[:4])
    assert [result.error is None for result in found[4:]] == [True, False, True, True, True]


@pytest.mark.parametrize(
    ("name", "write", "told"),
    [
        ("results.txt", Path.touch, "this holds no results"),
        ("results", Path.mkdir, "this holds no results"),
        ("results.csv", Path.touch, "no column 'error'"),
        ("kaggle.csv", lambda path: path.write_text("Id,Predicted\na,0\n"), "no column"),
        ("results.jsonl", Path.touch, "no results in it"),
        ("empty.sqlite", lambda path: Ledger(path).close(), "no results in it"),
        ("binary.jsonl", lambda path: path.write_bytes(b"\xff\xfe"), "can't be read"),
        ("gone.csv", lambda _: None, "can't be read"),
    ],
)
def test_what_holds_no_results_is_told(tmp_path: Path, name: str, write: Callable[[Path], object], told: str) -> None:
    write(tmp_path / name)
    with pytest.raises(HpaError, match=told):
        list(read_results(tmp_path / name))
