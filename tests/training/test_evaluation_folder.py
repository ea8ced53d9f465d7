"""An evaluation never replaces one of other data, another network or other settings without a warning."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.small import copy_at_16_bits
from tests.training.test_evaluation import evaluate, make_run
from training.data.dataset import read_dataset
from training.simulation import simulate

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, which takes longer than all else."""
    for name in ("_draw", "_draw_fit"):
        monkeypatch.setattr("training.cli.evaluate." + name, lambda *_: None)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", seed=1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    simulate(folder, count=8, seed=1, size=64, workers=1)
    return folder


def part_table(folder: Path, name: str, rows: slice) -> Path:
    header, *fields = (folder / "train.csv").read_text(encoding="utf-8").splitlines()
    (folder / name).write_text("\n".join([header, *fields[rows]]) + "\n", encoding="utf-8")
    return folder / name


def evaluations(run: Path) -> dict[str, dict[str, Any]]:
    return {file.parent.name: json.loads(file.read_bytes()) for file in run.glob("*/evaluation.json")}


def test_tables_of_one_folder_have_an_evaluation_each(run: Path, data: Path) -> None:
    for name, rows in (("val.csv", slice(0, 3)), ("test.csv", slice(3, 8))):
        assert evaluate(run, part_table(data, name, rows)).exit_code == 0
    assert evaluate(run, data).exit_code == 0
    found = {name: (one["evaluation"]["data"], one["evaluation"]["fields"]) for name, one in evaluations(run).items()}
    assert found == {
        "evaluation-lab": ("lab", 8),
        "evaluation-lab-val.csv": ("lab/val.csv", 3),
        "evaluation-lab-test.csv": ("lab/test.csv", 5),
    }


def test_other_settings_have_a_folder_of_their_own(run: Path, data: Path) -> None:
    settings: tuple[list[str], ...] = (
        [],
        ["--views", "8"],
        ["--threshold", "0.25"],
        ["--views", "8", "--threshold", "0.5"],
    )
    for options in settings:
        assert evaluate(run, data, *options).exit_code == 0
    found = {name: (one["views"], one["threshold"]) for name, one in evaluations(run).items()}
    assert found == {
        "evaluation-lab": (1, "card"),
        "evaluation-lab-views-8": (8, "card"),
        "evaluation-lab-threshold-0.25": (1, 0.25),
        "evaluation-lab-views-8-threshold-0.5": (8, 0.5),
    }


def test_other_white_levels_have_a_folder_of_their_own(run: Path, data: Path, tmp_path: Path) -> None:
    deep = copy_at_16_bits(data, tmp_path / "deep")
    for level in ("4080", "2040.5", "percentile"):
        assert evaluate(run, deep, "--white", level).exit_code == 0
    found = {name: one["white"] for name, one in evaluations(run).items()}
    assert found == {
        "evaluation-deep-white-4080": 4080,
        "evaluation-deep-white-2040.5": 2040.5,
        "evaluation-deep-white-percentile": "percentile",
    }


def test_an_evaluation_says_what_it_is_of(run: Path, data: Path) -> None:
    assert evaluate(run, data, "--threshold", "0.5").exit_code == 0
    (found,) = evaluations(run).values()
    assert found["tables"] == [str(data / "train.csv")]
    assert found["data_fingerprint"] == read_dataset(data).fingerprint
    assert (found["part"], found["views"], found["threshold"], found["white"]) == ("all", 1, 0.5, None)
    assert len(found["network_sha256"]) == 64


def test_a_folder_of_one_name_elsewhere_is_refused(run: Path, data: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "lab"
    simulate(other, count=5, seed=2, size=64, workers=1)
    assert evaluate(run, data).exit_code == 0
    before = {file: file.read_bytes() for file in (run / "evaluation-lab").iterdir()}
    result = evaluate(run, other)
    assert result.exit_code == 2
    assert str(data / "train.csv") in result.stderr
    assert str(other / "train.csv") in result.stderr
    assert "--out" in result.stderr
    assert {file: file.read_bytes() for file in (run / "evaluation-lab").iterdir()} == before
    assert evaluate(run, other, "--out", tmp_path / "out").exit_code == 0


def test_a_copy_with_the_same_fingerprint_is_other_data(run: Path, data: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(data, tmp_path / "copies" / "lab"))
    assert read_dataset(other).fingerprint == read_dataset(data).fingerprint
    assert evaluate(run, data).exit_code == 0
    assert evaluate(run, other).exit_code == 2


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (["--views", "8"], "views: 1 there, 8 here"),
        (["--threshold", "0.5"], 'threshold: "card" there, 0.5 here'),
        (["--white", "9"], "white: null there, 9.0 here"),
    ],
)
def test_other_settings_do_not_share_a_named_folder(
    run: Path, data: Path, tmp_path: Path, options: list[str], difference: str
) -> None:
    out = tmp_path / "out"
    assert evaluate(run, data, "--out", out).exit_code == 0
    result = evaluate(run, data, "--out", out, *options)
    assert result.exit_code == 2
    assert difference in result.stderr
    assert "--out" in result.stderr


def test_another_network_does_not_share_a_named_folder(run: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert evaluate(run, data, "--out", out).exit_code == 0
    result = evaluate(make_run(tmp_path / "other", seed=2), data, "--out", out)
    assert result.exit_code == 2
    assert "network_sha256" in result.stderr


def test_the_same_evaluation_is_written_again(run: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(data, target_is_directory=True)
    assert evaluate(run, data).exit_code == 0
    result = evaluate(run, tmp_path / "link" / "train.csv")
    assert result.exit_code == 0, result.stderr
    assert "older" not in result.stderr
    assert list(evaluations(run)) == ["evaluation-lab"]


@pytest.mark.parametrize("earlier", ['{"run": "r", "views": 1, "threshold": "card"}', "[]", '{"run'])
def test_an_older_evaluation_is_replaced_with_a_message(run: Path, data: Path, earlier: str) -> None:
    file = run / "evaluation-lab" / "evaluation.json"
    file.parent.mkdir()
    file.write_text(earlier, encoding="utf-8")
    result = evaluate(run, data)
    assert result.exit_code == 0
    assert f"{file}: the evaluation here does not say what it is of, and is replaced" in result.stderr
    assert json.loads(file.read_bytes())["evaluation"]["fields"] == 8
