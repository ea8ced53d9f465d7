"""Of the shapes that a conversion computes from the batch, only a flattening becomes one operator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from export.onnx.simplify import simplify

CHANNELS = 4


def squeezing_network() -> onnx.ModelProto:
    """A graph whose mean of each channel is flattened for a dense layer, and shaped again to scale the picture."""
    constants = {
        "start": [0],
        "end": [1],
        "channels": [CHANNELS],
        "one": [1],
        "weight": np.random.default_rng(0).normal(0, 1, (CHANNELS, CHANNELS)).astype(np.float32),
    }
    nodes = [
        helper.make_node("GlobalAveragePool", ["picture"], ["mean"]),
        helper.make_node("Shape", ["picture"], ["shape"]),
        helper.make_node("Slice", ["shape", "start", "end"], ["batch"]),
        helper.make_node("Concat", ["batch", "channels"], ["flat_shape"], axis=0),
        helper.make_node("Reshape", ["mean", "flat_shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["dense"]),
        helper.make_node("Concat", ["batch", "channels", "one", "one"], ["wide_shape"], axis=0),
        helper.make_node("Reshape", ["dense", "wide_shape"], ["wide"]),
        helper.make_node("Mul", ["picture", "wide"], ["scaled"]),
    ]
    graph = helper.make_graph(
        nodes,
        "squeezing",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", CHANNELS, 5, 5])],
        [helper.make_tensor_value_info("scaled", TensorProto.FLOAT, ["N", CHANNELS, 5, 5])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def run(model: onnx.ModelProto) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    picture = np.random.default_rng(1).random((3, CHANNELS, 5, 5), np.float32)
    found: npt.NDArray[np.float32] = session.run(None, {"picture": picture})[0]
    return found


def test_a_flattening_becomes_one_operator_others_stay() -> None:
    expected = run(squeezing_network())
    model = simplify(squeezing_network())
    operators = [node.op_type for node in model.graph.node]
    assert (operators.count("Flatten"), operators.count("Reshape")) == (1, 1)
    np.testing.assert_array_equal(run(model), expected)


def test_a_dense_layer_with_a_computed_shape_is_no_flattening() -> None:
    weight = np.random.default_rng(0).normal(0, 1, (CHANNELS, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Shape", ["places"], ["all"]),
        helper.make_node("Slice", ["all", "last", "end"], ["channels"]),
        helper.make_node("Concat", ["rest", "channels"], ["rows"], axis=0),
        helper.make_node("Reshape", ["places", "rows"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["dense"]),
    ]
    constants = {"last": [3], "end": [4], "rest": [-1]}
    graph = helper.make_graph(
        nodes,
        "dense on places",
        [helper.make_tensor_value_info("places", TensorProto.FLOAT, ["N", 5, 5, CHANNELS])],
        [helper.make_tensor_value_info("dense", TensorProto.FLOAT, ["M", 3])],
        [
            *(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()),
            numpy_helper.from_array(weight, "weight"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    assert "Flatten" not in [node.op_type for node in simplify(model).graph.node]


def test_a_dense_layer_on_positions_is_no_flattening() -> None:
    constants = {"rows": [-1, CHANNELS], "picture_shape": [-1, 5, 5, CHANNELS], "whole": [-1, 5 * 5 * CHANNELS]}
    weight = np.random.default_rng(0).normal(0, 1, (CHANNELS, CHANNELS)).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", ["picture"], ["places"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["places", "rows"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["dense"]),
        helper.make_node("Reshape", ["dense", "picture_shape"], ["again"]),
        helper.make_node("Reshape", ["again", "whole"], ["scaled"]),
    ]
    graph = helper.make_graph(
        nodes,
        "dense on places",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", CHANNELS, 5, 5])],
        [helper.make_tensor_value_info("scaled", TensorProto.FLOAT, ["N", 5 * 5 * CHANNELS])],
        [
            *(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()),
            numpy_helper.from_array(weight, "weight"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    expected = run(model)
    simplified = simplify(model)
    assert [node.op_type for node in simplified.graph.node].count("Flatten") == 1
    np.testing.assert_allclose(run(simplified), expected, rtol=1e-5)
