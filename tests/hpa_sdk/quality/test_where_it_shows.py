"""Warnings stand beside the answer in every output, and change no probability and no exit code."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from hpa_sdk import Predictor
from hpa_sdk.cli import main
from hpa_sdk.errors import SettingError
from hpa_sdk.quality.limits import Limits
from hpa_sdk.quality.reference import Reference
from hpa_sdk.results import Result as Record
from hpa_sdk.results.result_ledger import Ledger
from hpa_sdk.results.results_file import read_results
from tests.small import random_planes, write_planes

EMPTY = "The green plane is empty: all of its pixels have one grey level."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A field whose green plane is empty, and one without a fault."""
    rng = np.random.default_rng(5)
    planes = random_planes(rng)
    write_planes(tmp_path / "fields", "good", planes)
    planes[1] = 0
    write_planes(tmp_path / "fields", "spoiled", planes)
    return tmp_path / "fields"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["predict", *map(str, arguments), "--device", "cpu"])


def test_a_prediction_has_its_warnings(model: Path, folder: Path) -> None:
    good, spoiled = Predictor.load(model, device="cpu").predict(folder)
    assert (good.warnings, spoiled.warnings) == ((), (EMPTY,))
    assert spoiled.quality is not None
    assert spoiled.quality.measures["constant green"] == 1
    assert [flag.measure for flag in spoiled.quality.flags] == ["constant green"]


def test_planes_from_memory_have_warnings(model: Path) -> None:
    black = np.zeros((4, 64, 64), np.uint8)
    (answer,) = Predictor.load(model, device="cpu").predict_planes(black[np.newaxis])
    assert len(answer.warnings) == 4


def test_quality_changes_no_probability(model: Path, folder: Path) -> None:
    measured = Predictor.load(model, device="cpu").predict(folder)
    plain = Predictor.load(model, device="cpu", quality=False).predict(folder)
    for one, other in zip(measured, plain, strict=True):
        assert other.quality is None
        assert other.warnings == ()
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        np.testing.assert_array_equal(one.embedding, other.embedding)


def test_every_form_has_them(model: Path, folder: Path, tmp_path: Path) -> None:
    for form in ("csv", "jsonl", "parquet"):
        done = run(model, folder, "-o", tmp_path / f"out.{form}")
        assert (done.exit_code, "1 field has warnings" in done.stderr) == (0, True), done.stderr
        read = {result.id: result.warnings for result in read_results(tmp_path / f"out.{form}")}
        assert read == {"good": (), "spoiled": (EMPTY,)}
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        assert [row["warnings"] for row in csv.DictReader(file)] == ["", EMPTY]
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[1]["quality"]["constant green"] == 1
    assert parquet.read_table(tmp_path / "out.parquet")["warnings"].to_pylist() == [[], [EMPTY]]


def test_without_quality_there_are_none(model: Path, folder: Path, tmp_path: Path) -> None:
    done = run(model, folder, "-o", tmp_path / "out.jsonl", "--no-quality")
    assert "warnings" not in done.stderr
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["warnings"], line["quality"]) for line in lines] == [([], None)] * 2


def test_a_reference_needs_the_quality(model: Path, folder: Path, tmp_path: Path) -> None:
    limits = Limits(data="dark", fields=30, low={"brightness blue": 0.999})
    reference = Reference(data="dark", fields=30, limits=limits)
    file = tmp_path / "reference.json"
    file.write_bytes(msgspec.json.encode(reference))
    for given in (reference, file):
        with pytest.raises(SettingError, match="quality of fields is not measured"):
            Predictor.load(model, device="cpu", quality=False, reference=given)
    for command in ("predict", "cells"):
        arguments = (model, folder, "-o", tmp_path / f"{command}.csv", "--no-quality", "--reference", file)
        done = CliRunner().invoke(main, [command, *map(str, arguments), "--device", "cpu"])
        assert (done.exit_code, "Leave out quality=False (--no-quality)" in done.stderr) == (2, True)


def test_warnings_can_count_as_failures(model: Path, folder: Path, tmp_path: Path) -> None:
    done = run(model, folder, "-o", tmp_path / "out.csv", "--on-warning", "fail")
    assert done.exit_code == 1
    good, spoiled = read_results(tmp_path / "out.csv")
    assert good.error is None
    assert spoiled.error is not None
    assert EMPTY in str(spoiled.error)
    assert "--on-warning record" in str(spoiled.error)
    assert run(model, folder, "--on-warning", "fail", "--no-quality").exit_code == 2


def test_a_resumed_run_keeps_them(model: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run(model, folder, "-o", out, "--resume")
    before = out.read_bytes()
    done = run(model, folder, "-o", out, "--resume")
    assert "2 answers stood in the ledger" in done.stderr
    assert out.read_bytes() == before
    failed = run(model, folder, "-o", out, "--resume", "--on-warning", "fail")
    assert ("2 answers stood in the ledger" in failed.stderr, failed.exit_code) == (True, 1)


def test_a_resumed_run_says_which_answers_have_no_quality(model: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    run(model, folder, "-o", out, "--resume", "--no-quality")
    done = run(model, folder, "-o", out, "--resume")
    assert "2 answers of the ledger have no quality" in done.stderr


def test_the_record_of_a_result_has_them(model: Path, folder: Path, tmp_path: Path) -> None:
    _, spoiled = Predictor.load(model, device="cpu").predict(folder)
    record = Record.of(spoiled, model_sha256="", device="cpu")
    assert record.warnings == (EMPTY,)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.add(record)
    assert [result.warnings for result in ledger.newest(1)] == [(EMPTY,)]
    ledger.close()
