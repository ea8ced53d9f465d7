"""A model that takes raw planes answers as the same model behind the host's preprocessing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from export.raw_planes.graph import with_raw_planes
from hpa_sdk import Preprocessing
from hpa_sdk.errors import ModelFileError
from hpa_sdk.models.contract import check_contract
from hpa_sdk.models.onnx_file import read_onnx
from tests.small import CARD, build_model

Planes = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def network() -> onnx.ModelProto:
    return build_model(every_pixel=True)


def noise(*shape: int) -> Planes:
    return np.random.default_rng(4).integers(0, 256, shape, np.uint8)


def answers(model: onnx.ModelProto, fields: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (name,) = (value.name for value in model.graph.input)
    found: list[npt.NDArray[np.float32]] = session.run(["probabilities", "embedding"], {name: fields})
    return found


def both(
    model: onnx.ModelProto, planes: Planes, preprocessing: Preprocessing
) -> Sequence[Sequence[npt.NDArray[np.float32]]]:
    """The answers behind the host's preprocessing, and those from raw planes."""
    images = np.stack([preprocessing(field) for field in planes])
    return answers(model, images), answers(with_raw_planes(model, replace(CARD, preprocessing=preprocessing)), planes)


@pytest.mark.parametrize(
    ("height", "width"), [(299, 299), (512, 512), (1024, 1024), (2048, 2048), (600, 800), (16, 1000)]
)
def test_raw_planes_of_any_size_give_the_host_s_answers(network: onnx.ModelProto, height: int, width: int) -> None:
    host, graph = both(network, noise(3, 4, height, width), Preprocessing())
    # An answer that hardly depends on the pixels would agree with any resize.
    assert np.ptp(host[0], axis=0).max() > 0.5
    np.testing.assert_allclose(graph[0], host[0], rtol=0, atol=1e-4)
    np.testing.assert_array_equal(graph[0] >= 0.2, host[0] >= 0.2)
    np.testing.assert_allclose(graph[1], host[1], rtol=0, atol=1e-3)


def test_another_preprocessing_is_followed(network: onnx.ModelProto) -> None:
    shares = ((0.2, 0.3, 0.0, 0.5), (0.0, 1.0, 0.0, 0.0), (0.1, 0.2, 0.3, 0.4))
    host, graph = both(network, noise(2, 4, 200, 300), Preprocessing(blend=shares, scale=200))
    np.testing.assert_allclose(graph[0], host[0], rtol=0, atol=1e-4)


def test_a_quantized_model_stays_as_it_is_behind_the_planes(network: onnx.ModelProto) -> None:
    quantized = onnx.ModelProto()
    quantized.CopyFrom(network)
    level = [
        helper.make_tensor("step", TensorProto.FLOAT, [], [0.05]),
        helper.make_tensor("zero", TensorProto.UINT8, [], [128]),
    ]
    quantized.graph.initializer.extend(level)
    quantized.graph.node.insert(4, helper.make_node("QuantizeLinear", ["mean", "step", "zero"], ["levels"]))
    quantized.graph.node.insert(5, helper.make_node("DequantizeLinear", ["levels", "step", "zero"], ["rounded"]))
    quantized.graph.node[6].input[0] = "rounded"
    host, graph = both(quantized, noise(2, 4, 299, 299), Preprocessing())
    np.testing.assert_allclose(graph[0], host[0], rtol=0, atol=1e-4)


def test_the_file_keeps_the_contract(network: onnx.ModelProto, tmp_path: Path) -> None:
    before = network.SerializeToString()
    model = with_raw_planes(network, CARD)
    assert network.SerializeToString() == before
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "raw.onnx")
    file = read_onnx(tmp_path / "raw.onnx")
    check_contract(file, replace(CARD, preprocessing=Preprocessing(place="graph")))
    assert {name: str(form) for name, form in file.inputs.items()} == {"planes": "uint8 (N, 4, H, W)"}
    assert (file.opset, file.producer, file.metadata) == (18, "small", {})


def test_only_a_model_that_takes_images_can_be_changed(network: onnx.ModelProto) -> None:
    raw = with_raw_planes(network, CARD)
    for model, preprocessing in ((raw, Preprocessing()), (network, Preprocessing(size=224))):
        with pytest.raises(ModelFileError, match="export it without them first"):
            with_raw_planes(model, replace(CARD, preprocessing=preprocessing))
