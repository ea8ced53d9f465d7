"""A reference that was learned for a model becomes part of its card, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from export.__main__ import main as export
from hpa_sdk import Predictor
from hpa_sdk.cli import main as hpa
from hpa_sdk.models.onnx_file import graph_sha256
from hpa_sdk.quality.reference import read_reference
from tests.small import make_field, make_model


def test_a_reference_is_put_into_the_card(tmp_path: Path) -> None:
    model = make_model(tmp_path / "small.onnx")
    rng = np.random.default_rng(3)
    fields = [make_field(tmp_path / "fields", f"f{at:02}", rng, side=96) for at in range(24)]
    learned, own = tmp_path / "reference.json", tmp_path / "own.onnx"
    options = ["-o", str(learned), "--device", "cpu"]
    made = CliRunner().invoke(
        hpa, ["reference", str(model), str(tmp_path / "fields"), *options], catch_exceptions=False
    )
    assert made.exit_code == 0, made.output
    put = CliRunner().invoke(export, ["reference", str(model), str(learned), "-o", str(own)], catch_exceptions=False)
    assert put.exit_code == 0, put.output
    before, after = (Predictor.load(path, device="cpu") for path in (model, own))
    assert after.card.reference == read_reference(learned)
    assert graph_sha256(model.read_bytes()) == graph_sha256(own.read_bytes())
    Predictor.load(own, device="cpu", verify=True)
    with_option = Predictor.load(model, device="cpu", reference=learned)
    for one, other, same in zip(
        *(predictor.predict(fields[:3]) for predictor in (before, after, with_option)), strict=True
    ):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        assert other.warnings == same.warnings


def test_a_damaged_reference_is_refused(tmp_path: Path) -> None:
    model = make_model(tmp_path / "small.onnx")
    (tmp_path / "reference.json").write_text("{}", encoding="utf-8")
    options = [str(model), str(tmp_path / "reference.json"), "-o", str(tmp_path / "own.onnx")]
    done = CliRunner().invoke(export, ["reference", *options], catch_exceptions=False)
    assert done.exit_code == 2
    assert "this is no reference" in done.stderr
    assert not (tmp_path / "own.onnx").exists()
