"""Convolutions by Winograd's way give what onnxruntime's own give, and only those are replaced that gain by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.winograd import Replaced, replace_convolutions
from hpa_sdk import Predictor
from tests.export.variant_commands import export, variant_of
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


@pytest.mark.parametrize("size", [(4, 4), (5, 9), (8, 6), (13, 10), (37, 37)])
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


def test_a_quarter_of_the_multiplications_is_left_where_tiles_fit() -> None:
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
    ],
    ids=str,
)
def test_a_convolution_of_another_kind_stays(form: dict[str, Any]) -> None:
    model = convolution(**form)
    before = model.SerializeToString()
    assert replace_convolutions(model) == Replaced(0, 1, 1.0)
    assert model.SerializeToString() == before


def test_weights_that_two_convolutions_share_stay() -> None:
    model = convolution(given=128, bias=False, pads=[1] * 4)
    graph = model.graph
    graph.node[0].output[0] = "between"
    graph.node.append(helper.make_node("Conv", ["between", "weight"], ["result"], name="Conv_2", pads=[1] * 4))
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    assert replace_convolutions(model) == Replaced(0, 2, 1.0)


def test_the_file_keeps_its_size_and_tells_the_arithmetic(parent: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "winograd.onnx"
    result = export("winograd", parent, folder, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert "convolutions: 1 of 5 by F(4 x 4, 3 x 3)" in result.stderr
    told = variant_of(out)
    assert told.max_difference <= 1e-5
    assert "of the parent's" in told.settings["CPU time"]
    assert out.stat().st_size <= 1.01 * parent.stat().st_size
    openvino = Predictor.load(out, device="openvino").predict(folder)
    assert [item.labels for item in openvino] == [item.labels for item in Predictor.load(parent).predict(folder)]


def test_a_network_that_gains_nothing_is_refused(model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for number in range(32):
        make_field(tmp_path / "fields", f"{number:02}", rng, side=32)
    result = export("winograd", model, tmp_path / "fields", "-o", tmp_path / "out.onnx")
    assert result.exit_code == 2
    assert "of 0 convolutions 0 could be computed this way" in result.stderr
    assert not (tmp_path / "out.onnx").exists()
