"""Convolutions by Winograd's way give what onnxruntime's own give, and only those are replaced that gain by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from export.winograd.graph import Replaced, replace_convolutions
from hpa_sdk import Predictor
from hpa_sdk.cli.inspect import inspect
from hpa_sdk.models.onnx_file import graph_sha256
from tests.export.variant_commands import card_of, export, make, variant_of
from tests.small import make_field


def convolution(
    *, taken: int = 128, given: int = 144, kernel: int = 3, bias: bool = True, **form: Any
) -> onnx.ModelProto:
    """A graph of one convolution, of pictures of any kind."""
    rng = np.random.default_rng(7)
    group = form.get("group", 1)
    weight = rng.normal(0, (2 / (taken * kernel**2)) ** 0.5, (given, taken // group, kernel, kernel))
    constants = {"weight": weight, "bias": rng.normal(0, 1, given)}
    inputs = ["picture", "weight", "bias"][: 2 + bias]
    size = form.pop("size", (13, 10))
    graph = helper.make_graph(
        [helper.make_node("Conv", inputs, ["result"], name="Conv_1", **form)],
        "one",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", taken, *size])],
        [helper.make_empty_tensor_value_info("result")],
        [numpy_helper.from_array(constants[name].astype(np.float32), name) for name in inputs[1:]],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def run(model: onnx.ModelProto, count: int = 2) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (picture,) = session.get_inputs()
    pictures = np.random.default_rng(3).random((count, *picture.shape[1:]), np.float32)
    result: npt.NDArray[np.float32] = session.run(None, {"picture": pictures})[0]
    return result


@pytest.mark.parametrize("size", [(6, 6), (7, 9), (8, 6), (13, 10), (37, 37)])
@pytest.mark.parametrize("pads", [None, [1, 1, 1, 1], [0, 1, 2, 1], [2, 0, 0, 3]])
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_gives_the_same(size: tuple[int, int], pads: list[int] | None, bias: bool) -> None:
    form: dict[str, Any] = {} if pads is None else {"pads": pads}
    model = convolution(size=size, bias=bias, **form)
    expected = run(model)
    assert replace_convolutions(model).convolutions == 1
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model, strict_mode=True), full_check=True)
    found = run(model)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_a_quarter_of_multiplications_is_left_if_tiles_fit() -> None:
    assert replace_convolutions(convolution(size=(16, 20), pads=[1] * 4)) == Replaced(1, 1, 0.25)


@pytest.mark.parametrize(
    "form",
    [
        {"strides": [2, 2]},
        {"dilations": [2, 2]},
        {"group": 2},
        {"kernel": 1},
        {"kernel": 5},
        {"taken": 127},
        {"given": 127},
        {"auto_pad": "SAME_UPPER"},
        {"size": (4, 4)},  # a result of 2 x 2 would need as many multiplications
    ],
    ids=str,
)
def test_a_convolution_of_another_kind_stays(form: dict[str, Any]) -> None:
    model = convolution(**form)
    before = model.SerializeToString()
    assert replace_convolutions(model) == Replaced(0, 1, 1.0)
    assert model.SerializeToString() == before


def chain(second_weight: str) -> onnx.ModelProto:
    """A graph of two convolutions without names, one behind the other."""
    model = convolution(given=128, bias=False, pads=[1] * 4)
    graph = model.graph
    graph.node[0].name, graph.node[0].output[0] = "", "between"
    graph.node.append(helper.make_node("Conv", ["between", second_weight], ["result"], pads=[1] * 4))
    return model


def test_two_convolutions_without_names_are_kept_apart() -> None:
    model = chain("other")
    weight = numpy_helper.to_array(model.graph.initializer[0])
    model.graph.initializer.append(numpy_helper.from_array(weight[::-1].copy(), "other"))
    expected = run(model)
    assert replace_convolutions(model).convolutions == 2
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(run(model), expected, atol=1e-5 * np.abs(expected).max())


def test_weights_that_two_convolutions_share_stay() -> None:
    assert replace_convolutions(chain("weight")) == Replaced(0, 2, 1.0)


def test_weights_that_are_computed_stay() -> None:
    model = chain("computed")
    model.graph.node.insert(0, helper.make_node("Neg", ["weight"], ["computed"]))
    assert replace_convolutions(model) == Replaced(0, 2, 1.0)


def test_pictures_of_any_size_stay() -> None:
    model = convolution()
    for size in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        size.dim_param = "any"
    assert replace_convolutions(model) == Replaced(0, 1, 1.0)


@pytest.mark.slow
def test_the_file_states_its_arithmetic_and_is_reproducible(parent: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "winograd.onnx"
    result = export("winograd", parent, folder, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert "convolutions: 1 of 5 by F(4 x 4, 3 x 3)" in result.stderr
    assert "of the parent's" in variant_of(out).settings["CPU time"]
    assert card_of(out).computation == "fp32 by Winograd's way"
    assert "fp32 by Winograd's way" in CliRunner().invoke(inspect, [str(out)]).output
    again = make("winograd", parent, folder)
    assert graph_sha256(again.read_bytes()) == graph_sha256(out.read_bytes())


@pytest.mark.slow
def test_other_runtimes_answer_the_same_and_name_the_fp32_file(
    parent: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = make("winograd", parent, folder)
    with caplog.at_level("INFO", "hpa_sdk"):
        openvino = Predictor.load(out, device="openvino").predict(folder)
        assert "for openvino name the fp32 file that it was made of" in caplog.text
        caplog.clear()
        plain = Predictor.load(parent, device="openvino").predict(folder)
        assert Predictor.load(out, device="cpu").card.winograd
        assert not caplog.text
    assert [item.labels for item in openvino] == [item.labels for item in plain]


def test_a_network_that_gains_nothing_is_refused(small_model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for number in range(32):
        make_field(tmp_path / "fields", f"{number:02}", rng, side=32)
    result = export("winograd", small_model, tmp_path / "fields", "-o", tmp_path / "out.onnx")
    assert result.exit_code == 2
    assert "of 0 convolutions 0 could be computed this way" in result.stderr
    assert "100% of the multiplications would be left where 90% pay" in result.stderr
    assert not (tmp_path / "out.onnx").exists()
