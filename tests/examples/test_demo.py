"""The first look prints label sets beside the truth, leaves its files, and says in clear words what is wrong."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpa_sdk import find_samples, read_planes
from tests.conftest import ROOT
from tests.starter import FIELDS, needs_starter

pytestmark = pytest.mark.slow


def demo(out: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "examples/demo.py", "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@needs_starter
def test_it_shows_answers_beside_the_truth_twice_and_in_any_terminal(tmp_path: Path) -> None:
    out = tmp_path / "ergebnis-ä"
    first, second = demo(out), demo(out, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    for done in (first, second):
        assert done.returncode == 0, done.stderr
        assert "0c0ed116  " in done.stdout
        assert "Nucleoplasm; Nucleoli; Plasma membrane; Cytosol" in done.stdout
        assert " of 12 label sets are those of the truth." in done.stdout
        assert "must not be used" in done.stderr
    assert second.stdout.isascii()
    for name in ("results.csv", "report.html", "fields.png"):
        assert (out / name).stat().st_size > 0


def test_a_folder_that_can_t_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = demo(tmp_path / "file")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Name another one with --out." in done.stderr


def test_the_sample_fields_are_small_and_complete() -> None:
    with (FIELDS / "train.csv").open(encoding="utf-8", newline="") as file:
        truth = [row["Id"] for row in csv.DictReader(file)]
    assert len(truth) == 12
    assert sorted(truth) == [sample.id for sample in find_samples(FIELDS)]
    assert sum(file.stat().st_size for file in FIELDS.iterdir()) <= 2_000_000


def test_the_sample_fields_are_made_by_their_command(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "examples/simulated_fields.py", str(tmp_path)], cwd=ROOT, check=True)
    assert (tmp_path / "train.csv").read_bytes() == (FIELDS / "train.csv").read_bytes()
    made = list(find_samples(tmp_path))
    assert len(made) == 12
    for one, other in zip(made, find_samples(FIELDS), strict=True):
        # Not the bytes: libraries differ in how they pack a PNG.
        np.testing.assert_array_equal(read_planes(one), read_planes(other))
