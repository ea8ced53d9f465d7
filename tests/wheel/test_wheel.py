"""The installed wheel answers in another folder, without a network, and is small."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

WHEEL = os.environ.get("HPA_WHEEL")
FIELDS = Path(__file__).parents[2] / "examples" / "fields"
LARGEST = 6_000_000
LARGEST_MODEL = 4_000_000
MODEL = "hpa_sdk/models/starter.onnx"

pytestmark = pytest.mark.skipif(WHEEL is None, reason="run by make test-wheel, in an environment of its own")


@pytest.fixture
def contents() -> dict[str, int]:
    with zipfile.ZipFile(str(WHEEL)) as wheel:
        found = {item.filename: item.file_size for item in wheel.infolist()}
    if MODEL not in found:
        pytest.skip("hpa_sdk/models/starter.onnx is not in this checkout")
    return found


def hpa(*arguments: object, folder: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in an empty folder, with a proxy that does not answer."""
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    settings |= {"HPA_MODELS": str(folder / "models"), "HTTPS_PROXY": "http://127.0.0.1:9", "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-m", "hpa_sdk.cli", *map(str, arguments)],
        cwd=folder,
        env=settings,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_the_wheel_is_small_and_names_both_licences(contents: dict[str, int]) -> None:
    assert Path(str(WHEEL)).stat().st_size <= LARGEST
    assert contents[MODEL] <= LARGEST_MODEL
    assert "hpa_sdk/models/LICENCE.txt" in contents
    assert {name.split("/")[0].split("-")[0] for name in contents} == {"hpa_sdk"}
    assert metadata.metadata("hpa-sdk")["License-Expression"] == "Apache-2.0 AND CC-BY-SA-4.0"


@pytest.mark.usefixtures("contents")
def test_the_starter_answers_without_the_checkout_and_a_network(tmp_path: Path) -> None:
    shutil.copytree(FIELDS, tmp_path / "fields")
    done = hpa("predict", "starter", "fields", "-o", "results.csv", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert any(row["labels"] for row in rows)
    done = hpa("report", "results.csv", "--truth", "fields/train.csv", "-o", "report.html", folder=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("contents")
def test_an_altered_starter_is_refused(tmp_path: Path) -> None:
    done = hpa("models", "get", "starter", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    file = Path(done.stdout.strip())
    assert file.is_relative_to(sys.prefix)
    copy = tmp_path / "copy" / "hpa_sdk"
    shutil.copytree(file.parents[1], copy)
    altered = bytearray(file.read_bytes())
    altered[len(altered) // 2] ^= 1
    (copy / "models" / "starter.onnx").write_bytes(altered)
    done = hpa("predict", "starter", FIELDS, folder=tmp_path, path=str(copy.parent))
    assert done.returncode == 2
    assert "is not the one of this release of hpa-sdk: it has the SHA-256" in done.stderr
