"""With a white level, every command treats 16-bit planes as it treats 8-bit planes."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hpa_sdk import find_samples
from hpa_sdk.fields.reading import read_planes
from tests.export.small_run import write_small_run
from tests.export.variant_commands import export, make, variant_of, with_card
from tests.small import CARD, DEEP_STEP, DEEP_WHITE, copy_at_16_bits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def deep(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_at_16_bits(folder, tmp_path_factory.mktemp("deep") / "16 bits ä")


@pytest.mark.usefixtures("one_plan")
@pytest.mark.parametrize("command", ["fp16", "quantize", "winograd"])
def test_a_variant_is_made_and_judged_at_the_white_level(
    command: str, parent: Path, deep: Path, folder: Path, tmp_path: Path
) -> None:
    model = with_card(parent, tmp_path / "parent.onnx")
    variant = variant_of(make(command, model, deep, "--white", DEEP_WHITE))
    of_8_bits = variant_of(make(command, model, folder))
    assert variant.settings["white level of 16-bit planes"] == "4080.0"
    assert "white level of 16-bit planes" not in of_8_bits.settings
    # The labels are the parent's own at this level: at another its F1 would not be 1.
    assert (variant.same_label_sets, variant.parent_macro_f1, variant.macro_f1) == (1, 1, 1)
    assert variant.max_difference == pytest.approx(of_8_bits.max_difference, rel=0.02)


def test_raw_planes_are_compared_at_the_white_level(parent: Path, deep: Path, tmp_path: Path) -> None:
    out = tmp_path / "raw.onnx"
    result = export("raw-planes", parent, deep, "-o", out, "--white", DEEP_WHITE)
    assert (result.exit_code, out.is_file()) == (0, True), result.stderr
    assert "100.00%" in result.stderr


def test_a_run_is_compared_at_the_white_level(small_run: Path, deep: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.onnx"
    result = export("onnx", small_run, "-o", out, "--samples", deep, "--count", 8, "--white", DEEP_WHITE)
    assert (result.exit_code, out.is_file()) == (0, True), result.stderr


def test_a_16_bit_run_is_compared_at_its_own_white_level(deep: Path, tmp_path: Path) -> None:
    run, out = write_small_run(tmp_path / "run", deep), tmp_path / "small.onnx"
    asked = export("onnx", run, "-o", out, "--count", 8, "--white", DEEP_WHITE)
    assert (asked.exit_code, out.is_file()) == (0, True), asked.stderr
    record = json.loads((run / "run.json").read_bytes()) | {"white": DEEP_WHITE}
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    known = export("onnx", run, "-o", tmp_path / "known.onnx", "--count", 8)
    assert (known.exit_code, (tmp_path / "known.onnx").is_file()) == (0, True), known.stderr


def test_a_package_shows_the_field_at_the_white_level(parent: Path, deep: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.zip"
    result = export("bioimageio", parent, deep, "-o", out, "--white", DEEP_WHITE)
    assert result.exit_code == 0, result.stderr
    with zipfile.ZipFile(out) as package:
        shown = np.load(io.BytesIO(package.read("test_input.npy")))
    first = read_planes(next(find_samples(deep / "train.csv")))
    np.testing.assert_allclose(shown[0], CARD.preprocessing((first // DEEP_STEP).astype(np.uint8)), atol=1e-6)


def _asked(parent: Path, small_run: Path, deep: Path) -> dict[str, list[object]]:
    variants: dict[str, list[object]] = {
        command: [parent, deep] for command in ("fp16", "quantize", "winograd", "raw-planes", "bioimageio")
    }
    return variants | {"onnx": [small_run, "--samples", deep, "--count", 8]}


@pytest.mark.parametrize("command", ["fp16", "quantize", "winograd", "raw-planes", "bioimageio", "onnx"])
def test_a_missing_white_level_names_field_and_option(
    command: str, parent: Path, small_run: Path, deep: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.onnx"
    result = export(command, *_asked(parent, small_run, deep)[command], "-o", out)
    assert result.exit_code == 2
    assert "--white" in result.stderr
    assert str(deep) in result.stderr.replace("\n", "")
    assert list(tmp_path.iterdir()) == []
    assert "--white" in export(command, "--help").stdout
