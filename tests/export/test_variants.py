"""Variants keep the contract, say how far they are from their parent, and are refused if too far."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks.precision import measure
from export.fields import read_fields
from export.quantization.export import part
from export.quantization.quantizer import QuantizationPlan, Quantizer
from export.variants.variant import read_parent
from hpa_sdk import Predictor
from hpa_sdk.models.contract import check_contract, read_card
from hpa_sdk.models.onnx_file import graph_sha256, read_onnx
from tests.export.spread_network import answers, write_fields
from tests.export.variant_commands import card_of, export, make, variant_of, with_card
from tests.small import CARD

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def half(parent: Path, folder: Path) -> Path:
    return make("fp16", parent, folder)


@pytest.fixture(scope="module")
def int8(parent: Path, folder: Path) -> Path:
    return make("quantize", parent, folder)


@pytest.fixture(scope="module")
def winograd(parent: Path, folder: Path) -> Path:
    return make("winograd", parent, folder)


@pytest.fixture(params=["half", "int8", "winograd"])
def made(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def test_a_variant_keeps_the_contract(made: Path, parent: Path) -> None:
    file = read_onnx(made)
    card = read_card(file)
    check_contract(file, card)
    assert file.opset == 18
    onnx.checker.check_model(made, full_check=True)
    assert file.outputs == read_onnx(parent).outputs
    assert [opset.domain for opset in onnx.load(made).opset_import] == [""]
    assert card.weights_sha256 == graph_sha256(made.read_bytes())


def test_the_card_says_how_far_the_variant_is_from_its_parent(made: Path, parent: Path, folder: Path) -> None:
    card, variant = card_of(made), variant_of(made)
    assert card.precision == {"fp16": "fp16", "quantize": "int8", "winograd": "fp32"}[made.stem]
    assert variant.parent_sha256 == card_of(parent).weights_sha256
    assert variant.shortfalls == ()
    expected, found = answers(parent, folder), answers(made, folder)
    assert 0 < variant.max_difference <= np.abs(expected - found).max() + 1e-6
    assert 0 < variant.mean_difference < variant.max_difference
    assert (variant.data, variant.same_label_sets, variant.macro_f1, variant.parent_macro_f1) == ("felder-ä", 1, 1, 1)
    without = replace(card, precision="fp32", variant=None, weights_sha256="", created="")
    assert without == replace(card_of(parent), weights_sha256="", created="")


def test_a_variant_is_small(half: Path, int8: Path, parent: Path) -> None:
    assert half.stat().st_size <= 0.51 * parent.stat().st_size
    assert int8.stat().st_size <= 0.27 * parent.stat().st_size


def test_a_variant_computes_in_its_precision(half: Path, int8: Path) -> None:
    stored = {path: {tensor.data_type for tensor in onnx.load(path).graph.initializer} for path in (half, int8)}
    assert onnx.TensorProto.FLOAT16 in stored[half]
    assert onnx.TensorProto.FLOAT not in stored[half]
    operators = read_onnx(int8).operators
    assert operators["QuantizeLinear"] > 0
    model = onnx.load(int8)
    producers = {name: node for node in model.graph.node for name in node.output}
    # The embedding is what the network computed, not a value of 256.
    assert producers["embedding"].op_type == "Relu"
    assert "DequantizeLinear" not in {producers[name].op_type for name in producers["embedding"].input}


def test_a_variant_answers_as_its_parent_through_the_sdk(made: Path, parent: Path, folder: Path) -> None:
    of_parent, of_variant = (Predictor.load(path, device="cpu").predict(folder) for path in (parent, made))
    assert [item.labels for item in of_variant] == [item.labels for item in of_parent]
    assert all(item.embedding.dtype == np.float32 for item in of_variant)


def test_the_int8_card_states_what_was_chosen_by_which_figures(int8: Path) -> None:
    settings = variant_of(int8).settings
    for setting, values in {
        "signedness": ("U8S8", "U8U8", "S8S8"),
        "calibration": ("MinMax", "Entropy", "Percentile"),
        "reduce_range": ("True", "False"),
        "operators": ("Conv, Gemm", "Add"),
        "excluded": ("none", "Conv_1", "Conv_5"),
    }.items():
        assert "CPU time" in settings[setting]
        assert all(value in settings[setting] for value in values)
    assert settings["calibrated"] == "on 32 fields of felder-ä"


def test_fields_for_judging_and_calibration_are_disjoint(parent: Path, folder: Path) -> None:
    fields = read_fields(folder, CARD, least=1)
    parts = [{sample.id for sample in taken.samples} for taken in part(fields, 40, 20)]
    assert [len(ids) for ids in parts] == [32, 32, 20]
    assert len(set.union(*parts)) == sum(len(ids) for ids in parts)
    assert sorted(sample.id for sample in fields.samples) != [sample.id for sample in fields.samples]
    assert fields.targets is not None
    found = Predictor.load(parent, device="cpu").predict(fields.samples[:5])
    assert [set(map(int, item)) for item in found] == [set(np.flatnonzero(row)) for row in fields.targets[:5]]


def test_the_same_plan_gives_the_same_bytes(parent: Path, folder: Path, tmp_path: Path) -> None:
    calibration, *_ = part(read_fields(folder, CARD, least=1), 32, 32)
    made = []
    for name in ("a", "b"):
        work = tmp_path / name
        work.mkdir()
        made.append(
            Quantizer(read_parent(parent, work / "out.onnx"), calibration, work)
            .quantize(QuantizationPlan())
            .read_bytes()
        )
    assert made[0] == made[1]


def test_the_same_input_gives_the_same_fp16_file(half: Path, parent: Path, folder: Path, tmp_path: Path) -> None:
    again = make("fp16", with_card(parent, tmp_path / "parent.onnx"), folder)
    assert graph_sha256(again.read_bytes()) == graph_sha256(half.read_bytes())
    first, second = (replace(card_of(path), created="") for path in (half, again))
    assert first == second


def test_fields_without_labels_are_judged_by_label_sets_alone(parent: Path, tmp_path: Path) -> None:
    fields = write_fields(tmp_path / "plain", 32)
    variant = variant_of(make("fp16", with_card(parent, tmp_path / "parent.onnx"), fields))
    assert (variant.fields, variant.macro_f1, variant.parent_micro_f1) == (32, None, None)


@pytest.mark.usefixtures("one_plan")
def test_fields_held_out_are_those_judged_by(parent: Path, folder: Path, tmp_path: Path) -> None:
    held_out = write_fields(tmp_path / "unseen", 33, seed=12)
    model = with_card(parent, tmp_path / "parent.onnx")
    variant = variant_of(make("quantize", model, folder, "--held-out", held_out, "--calibration-fields", 32))
    assert (variant.data, variant.fields, variant.macro_f1) == ("unseen", 33, None)
    assert variant.settings["judged"] == "on 33 others, of unseen"


def test_the_benchmark_measures_pairs(parent: Path, half: Path, int8: Path, folder: Path) -> None:
    rows = measure(parent, [half, int8], folder, count=8, pairs=2)
    assert [row["file"] for row in rows] == [half.name, int8.name]
    for row in rows:
        low, high = row["cpu_share_range"]
        assert 0 < low <= row["cpu_share"] <= high
        assert (row["fields"], row["same_label_sets"]) == (8, 1)
    assert rows[1]["size_share"] <= 0.27


def test_any_precision_can_take_raw_planes(made: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "planes.onnx"
    result = export("raw-planes", made, folder, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert "100.00% of 96 fields" in result.stderr
    card = card_of(out)
    assert (card.preprocessing.place, card.precision) == ("graph", card_of(made).precision)
    assert card.variant == variant_of(made)
    assert card.parity is None, "its parent's parity is that of another input"
    host, graph = (Predictor.load(path, device="cpu", verify=path == out).predict(folder) for path in (made, out))
    assert [item.labels for item in host] == [item.labels for item in graph]
    assert export("raw-planes", out, folder, "-o", tmp_path / "twice.onnx").exit_code == 2
