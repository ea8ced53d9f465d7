"""Planes are found again where they are meant without doubt, and nowhere else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpa_sdk import HpaError, Sample, find_samples
from hpa_sdk.planes import read_planes
from hpa_sdk.report.finder import PlaneFinder
from hpa_sdk.workstation.results import Result
from tests.small import make_field


def result_of(name: str, *files: Path) -> Result:
    return Result(id=name, files=tuple(map(str, files)), model_sha256="", device="", time="")


def test_by_the_ids_that_predict_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    places = ("", "a", "a/b")
    expected = {f"{place}/x".strip("/"): make_field(tmp_path / place, "x", rng) for place in places}
    results = [result_of(sample.id) for sample in find_samples(tmp_path, recursive=True)]
    assert sorted(result.id for result in results) == sorted(expected)
    finder = PlaneFinder(results, [tmp_path])
    for result in results:
        np.testing.assert_array_equal(read_planes(finder.find(result)), read_planes(expected[result.id]))


def test_two_fields_of_one_id_are_not_guessed_between(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for folder in ("a", "b"):
        make_field(tmp_path / folder, "x", rng)
    places = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(HpaError, match="several fields have this id"):
        PlaneFinder([result_of("x")], places).find(result_of("x"))
    with pytest.raises(HpaError, match="several fields have this id"):
        PlaneFinder([result_of("x")] * 2, places[:1]).find(result_of("x"))
    # The same files named twice are one field.
    assert PlaneFinder([result_of("x")], [places[0], places[0] / "x"]).find(result_of("x")).id == "x"


def test_files_of_a_result_come_first_and_may_have_moved(fields: list[Sample], tmp_path: Path) -> None:
    there = result_of("another name", *fields[0].files)
    np.testing.assert_array_equal(read_planes(PlaneFinder([], []).find(there)), read_planes(fields[0]))
    moved = replace(there, id=fields[0].id)
    expected = read_planes(fields[0])
    shutil.move(fields[0].files[0].parent, tmp_path / "elsewhere")
    np.testing.assert_array_equal(read_planes(PlaneFinder([moved], [tmp_path / "elsewhere"]).find(moved)), expected)
    with pytest.raises(HpaError, match=r"were not found.*--planes"):
        PlaneFinder([moved], []).find(moved)
