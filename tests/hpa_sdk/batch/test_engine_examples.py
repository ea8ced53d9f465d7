"""The examples for other engines find what a predictor finds, as far as the engine is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from hpa_sdk import Prediction, Predictor
from hpa_sdk.fields.samples import Sample
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("engine", ["dask", "pyspark"])
def test_an_engine_finds_what_a_predictor_finds(engine: str, model: Path, fields: list[Sample], tmp_path: Path) -> None:
    pytest.importorskip(engine)
    fields[2].files[0].write_bytes(b"")
    folder, out = fields[0].files[0].parent, tmp_path / "out"
    example = ROOT / "examples" / f"{engine.removeprefix('py')}_fields.py"
    local = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(example), str(model), str(folder), str(out)]
    end = subprocess.run(command, env=os.environ | local, capture_output=True, encoding="utf-8", check=False)
    assert end.returncode == 0, end.stderr
    rows = pyarrow.parquet.read_table(out, columns=["id", "labels", "error"]).to_pylist()
    expected = Predictor.load(model, device="cpu").predict(fields, on_error="yield")
    assert [row["id"] for row in rows] == [each.id for each in expected]
    for row, each in zip(rows, expected, strict=True):
        if isinstance(each, Prediction):
            assert row["labels"] == [label.hpa_name for label in each]
        else:
            assert row["error"] == str(each.error)
