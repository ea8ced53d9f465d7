"""A DenseNet-121 of the published interface can be adopted, made smaller, and take raw planes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export.quantization import search
from hpa_sdk import Predictor
from hpa_sdk.models.contract import check_contract
from hpa_sdk.models.onnx_file import graph_sha256, read_onnx
from tests.conftest import run_command
from tests.export.variant_commands import card_of, export, make, variant_of
from training.simulation import simulate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fields that the last layer was not fitted to."""
    folder = tmp_path_factory.mktemp("unseen") / "fields"
    simulate(folder, count=32, seed=4, size=96, workers=1)
    return folder


@pytest.fixture(scope="module")
def densenet(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as its publisher gives it, and its card beside it."""
    folder = tmp_path_factory.mktemp("densenet")
    sizes = ["--side", "96", "--count", "32", "--opset", "11"]
    run_command(
        "benchmarks.densenet", simulated, *sizes, "-o", folder / "densenet.onnx", "--card", folder / "card.toml"
    )
    return folder / "densenet.onnx"


@pytest.fixture(scope="module")
def own(densenet: Path) -> Path:
    out = densenet.with_name("own.onnx")
    result = export("adopt", densenet, "--card", densenet.with_name("card.toml"), "-o", out)
    assert result.exit_code == 0, result.stderr
    return out


def probabilities(model: Path, fields: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with Predictor.load(model, device="cpu") as predictor:
        return np.stack([found.probabilities for found in predictor.predict(fields)])


def test_it_has_the_published_interface(densenet: Path, own: Path, unseen: Path) -> None:
    file = read_onnx(densenet)
    assert file.opset == 11
    assert {name: str(form) for name, form in file.inputs.items()} == {"image": "float32 (1, 4, 96, 96)"}
    assert {name: str(form) for name, form in file.outputs.items()} == {
        "classes": "float32 (1, 28)",
        "features": "float32 (1, 1024)",
    }
    assert graph_sha256(own.read_bytes()) == graph_sha256(densenet.read_bytes())
    # It tells fields apart, or the other comparisons would show nothing.
    assert np.ptp(probabilities(own, unseen), axis=0).max() > 0.5


def test_fp16_is_half_as_large_and_passes(own: Path, unseen: Path) -> None:
    half = make("fp16", own, unseen, "--force")
    check_contract(read_onnx(half), card_of(half))
    assert half.stat().st_size < 0.51 * own.stat().st_size
    assert variant_of(half).mean_difference < 1e-2


def test_int8_is_a_quarter_as_large(own: Path, simulated: Path, unseen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_alternatives", lambda _: iter(()))
    int8 = make("quantize", own, simulated, "--held-out", unseen, "--force")
    file = read_onnx(int8)
    check_contract(file, card_of(int8))
    assert file.opset == 13, "the first with a scale for each channel"
    assert int8.stat().st_size < 0.3 * own.stat().st_size
    assert variant_of(int8).mean_difference < 0.1


def test_raw_planes_answer_the_same(own: Path, unseen: Path) -> None:
    result = export("raw-planes", own, unseen, "-o", own.with_name("planes.onnx"))
    assert result.exit_code == 0, result.stderr
    assert str(read_onnx(own.with_name("planes.onnx")).inputs["planes"]) == "uint8 (1, 4, H, W)"
