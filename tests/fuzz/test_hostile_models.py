"""A model file that could do harm is refused before a runtime opens it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hpa_sdk import HpaError, Predictor
from hpa_sdk.models.model_card import METADATA_KEY
from tests.small import CARD, build_model, make_model_with_checksum


def external(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="../../etc/passwd")


def custom(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Run", ["image"], ["x"], domain="com.example"))


def functions(model: onnx.ModelProto) -> None:
    node = helper.make_node("Relu", ["a"], ["b"])
    model.functions.append(helper.make_function("f", "g", ["a"], ["b"], [node], [helper.make_opsetid("", 18)]))


def nested(model: onnx.ModelProto) -> None:
    graph = helper.make_graph([], "inner", [], [])
    for _ in range(12):
        node = helper.make_node("If", ["c"], ["d"], then_branch=graph, else_branch=helper.make_graph([], "e", [], []))
        graph = helper.make_graph([node], "outer", [], [])
    model.graph.node.extend(graph.node)


def absurd_shape(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2**40


def large_card(model: onnx.ModelProto) -> None:
    model.metadata_props[0].value = " " * (100 * 2**20)


def large_images(model: onnx.ModelProto) -> None:
    model.metadata_props[0].value = model.metadata_props[0].value.replace('"size": 299', '"size": 1000000')


@pytest.mark.parametrize("harm", [external, custom, functions, nested, absurd_shape, large_card, large_images])
def test_harm_is_refused_before_a_session_opens(
    harm: Callable[[onnx.ModelProto], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a session was opened")

    model = build_model()
    helper.set_model_props(model, {METADATA_KEY: CARD.to_json()})
    harm(model)
    path = tmp_path / "harm.onnx"
    path.write_bytes(model.SerializeToString())
    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(HpaError):
        Predictor.load(path, device="cpu")


def test_an_initializer_with_too_few_bytes_is_reported(tmp_path: Path) -> None:
    model = build_model()
    helper.set_model_props(model, {METADATA_KEY: CARD.to_json()})
    model.graph.initializer[0].dims[:] = [2**31, 2**31]
    path = tmp_path / "promise.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(HpaError):
        Predictor.load(path, device="cpu")


def test_changed_weights_are_refused_on_request(tmp_path: Path) -> None:
    path = make_model_with_checksum(tmp_path / "exported.onnx")
    Predictor.load(path, device="cpu", verify=True)
    model = onnx.load(path)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros((3, 512), np.float32), "first"))
    onnx.save(model, path)
    with pytest.raises(HpaError):
        Predictor.load(path, device="cpu", verify=True)
