"""Planes are found again only where the match is certain."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpa_sdk import HpaError, Sample, find_samples
from hpa_sdk.batch.discovery import find_all
from hpa_sdk.fields.reading import read_planes
from tests.hpa_sdk.report.found import read, result_of
from tests.small import make_field


def test_by_the_ids_that_predict_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    places = ("", "a", "a/b")
    expected = {f"{place}/x".strip("/"): make_field(tmp_path / place, "x", rng) for place in places}
    results = [result_of(sample.id) for sample in find_samples(tmp_path, recursive=True)]
    assert sorted(result.id for result in results) == sorted(expected)
    for result in results:
        found = read(result, [tmp_path], results=results)
        np.testing.assert_array_equal(found.planes, read_planes(expected[result.id]))


def test_by_the_ids_of_a_run_over_several_folders(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    places = [tmp_path / "plates" / name for name in ("plateA", "plateB")]
    for place in places:
        make_field(place, "f1", rng)
    samples = list(find_all(list(map(str, places)), recursive=False, root=None))
    results = [result_of(sample.id) for sample in samples]
    assert [result.id for result in results] == ["plateA/f1", "plateB/f1"]
    for result, sample in zip(results, samples, strict=True):
        assert isinstance(sample, Sample)
        np.testing.assert_array_equal(read(result, places, results=results).planes, read_planes(sample))


def test_two_fields_of_one_id_are_not_guessed_between(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for folder in ("a", "b"):
        make_field(tmp_path / folder, "x", rng)
    places = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(HpaError, match="several fields have this id"):
        read(result_of("x"), places)
    with pytest.raises(HpaError, match="several fields have this id"):
        read(result_of("x"), places[:1], results=[result_of("x")] * 2)
    # The same files named twice are one field.
    assert read(result_of("x"), [places[0], places[0] / "x"]).caption


def test_files_of_a_result_come_first_and_may_have_moved(fields: list[Sample], tmp_path: Path) -> None:
    there = result_of("another name", *fields[0].files)
    np.testing.assert_array_equal(read(there).planes, read_planes(fields[0]))
    moved = replace(there, id=fields[0].id)
    expected = read_planes(fields[0])
    shutil.move(fields[0].files[0].parent, tmp_path / "elsewhere")
    np.testing.assert_array_equal(read(moved, [tmp_path / "elsewhere"]).planes, expected)
    with pytest.raises(HpaError, match=r"were not found.*--planes"):
        read(moved)
