"""int8 files answer exactly on every processor, and the optimized graph is cached and opened again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from hpa_sdk import Label, Predictor, Sample
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.inference import device_choice, int8_overflow, onnxruntime_sessions
from hpa_sdk.models.model_card import METADATA_KEY
from hpa_sdk.models.variant import Variant
from tests.small import CARD, build_model

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def overflowing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have sums of int8 products opened as on a processor that overflows."""
    for module in (int8_overflow, onnxruntime_sessions):
        monkeypatch.setattr(module, "int8_overflows", lambda: True)


@pytest.mark.usefixtures("overflowing")
def test_a_quantized_graph_is_kept_and_opened_again(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, fields: list[Sample]
) -> None:
    path = make_quantized(tmp_path / "int8.onnx")
    expected = Predictor.load(path, device="cpu").predict(fields)
    (kept,) = cache.iterdir()
    opened: list[bytes] = []
    open_session = onnxruntime_sessions._open

    def open_recorded(model: bytes, *arguments: Any, **options: Any) -> Any:
        opened.append(model)
        return open_session(model, *arguments, **options)

    with monkeypatch.context() as watched:
        watched.setattr(onnxruntime_sessions, "_open", open_recorded)
        again = Predictor.load(path, device="cpu").predict(fields)
    assert opened == [kept.read_bytes()[:-32]], "the graph that was kept, and not the model"
    for one, other in zip(again, expected, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
    whole = kept.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    for content in (b"no model", bytes(damaged)):
        kept.write_bytes(content)
        for one, other in zip(Predictor.load(path, device="cpu").predict(fields), expected, strict=True):
            np.testing.assert_array_equal(one.probabilities, other.probabilities)
        assert len(kept.read_bytes()) == len(whole)
        assert kept.read_bytes() != content
    monkeypatch.setattr(onnxruntime, "__version__", "another")
    Predictor.load(path, device="cpu")
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("kept", [False, True])
def test_int8_is_exact_on_every_processor(
    tmp_path: Path, cache: Path, fields: list[Sample], request: pytest.FixtureRequest, *, kept: bool
) -> None:
    if kept:
        request.getfixturevalue("overflowing")
    # Without VNNI, sums of these weights would overflow in nearly every product.
    path = make_quantized(tmp_path / "int8.onnx", large_weights=True)
    as_written = onnxruntime.SessionOptions()
    as_written.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    exact = onnxruntime.InferenceSession(path, as_written, providers=["CPUExecutionProvider"])
    for _opened_from in ("the file", "the kept graph"):
        predictor = Predictor.load(path, device="cpu")
        for sample, found in zip(fields, predictor.predict(fields), strict=True):
            image = predictor.card.preprocessing(read_planes(sample))[np.newaxis]
            expected = exact.run(["probabilities"], {"image": image})[0][0]
            assert 0.01 < expected.min() < expected.max() < 0.99
            np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
        assert not kept or len(list(cache.iterdir())) == 1


@pytest.mark.usefixtures("overflowing")
def test_what_is_kept_does_not_depend_on_the_processor(tmp_path: Path, cache: Path) -> None:
    Predictor.load(make_quantized(tmp_path / "int8.onnx", large_weights=True), device="cpu")
    (kept,) = cache.iterdir()
    weights = {
        tensor.name: tensor.data_type for tensor in onnx.load_from_string(kept.read_bytes()[:-32]).graph.initializer
    }
    assert weights["last_small"] == onnx.TensorProto.INT8


@pytest.mark.parametrize("overflows", [None, False, True])
def test_exact_sums_are_requested_only_where_needed(monkeypatch: pytest.MonkeyPatch, *, overflows: bool | None) -> None:
    monkeypatch.setattr(int8_overflow, "int8_overflows", lambda: overflows)
    assert ("session.x64quantprecision" in int8_overflow.session_entries()) == (overflows is not False)


@pytest.mark.parametrize("overflows", [False, True])
def test_a_line_says_where_openvino_overflows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, overflows: bool
) -> None:
    monkeypatch.setattr(device_choice, "int8_overflows", lambda: overflows)
    monkeypatch.setattr(device_choice, "_said", set())
    Predictor.load(make_quantized(tmp_path / "int8.onnx"), device="openvino")
    assert ("no VNNI" in caplog.text) == overflows


def make_quantized(path: Path, *, large_weights: bool = False) -> Path:
    """Write the small model with its input rounded to 8 bits, and a card that says int8.

    With large weights the last layer is int8 too.
    """
    proto = build_model()
    if large_weights:
        make_last_layer_int8(proto)
    for node in proto.graph.node:
        node.input[:] = ["rounded" if name == "image" else name for name in node.input]
    tensors = {"step": np.float32(1 / 255), "zero": np.uint8(0)}
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()
    )
    proto.graph.node.insert(0, onnx.helper.make_node("QuantizeLinear", ["image", "step", "zero"], ["small"]))
    proto.graph.node.insert(1, onnx.helper.make_node("DequantizeLinear", ["small", "step", "zero"], ["rounded"]))
    variant = Variant(
        parent_sha256="", settings={}, data="none", fields=0, max_difference=0.0, mean_difference=0.0,
        same_label_sets=1.0, micro_f1=0.0, parent_micro_f1=0.0, macro_f1=0.0, parent_macro_f1=0.0,
    )  # fmt: skip
    card = replace(CARD, precision="int8", variant=variant)
    onnx.helper.set_model_props(proto, {METADATA_KEY: card.to_json()})
    onnx.save(proto, path)
    return path


def make_last_layer_int8(proto: onnx.ModelProto) -> None:
    rng = np.random.default_rng(0)
    (unused,) = (tensor for tensor in proto.graph.initializer if tensor.name == "last")
    proto.graph.initializer.remove(unused)
    (at,) = (at for at, node in enumerate(proto.graph.node) if "last" in node.input)
    proto.graph.node[at].input[:] = ["embedding_rounded", "last_rounded"]
    tensors = {
        "embedding_step": np.float32(0.005),
        "embedding_zero": np.uint8(0),
        "last_step": np.float32(3e-4),
        "last_zero": np.int8(0),
        "last_small": rng.choice(np.asarray([-127, 127], np.int8), (512, len(Label))),
    }
    for name, value in tensors.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    for number, (name, operator, taken) in enumerate(
        (
            ("embedding_small", "QuantizeLinear", "embedding"),
            ("embedding_rounded", "DequantizeLinear", "embedding_small"),
            ("last_rounded", "DequantizeLinear", "last_small"),
        )
    ):
        scale = name.split("_", maxsplit=1)[0]
        node = onnx.helper.make_node(operator, [taken, f"{scale}_step", f"{scale}_zero"], [name])
        proto.graph.node.insert(at + number, node)
