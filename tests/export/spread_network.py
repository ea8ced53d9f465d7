"""A small convolutional network of the contract, and fields on which its answers are far apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from hpa_sdk import Label, find_samples
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.models.model_card import METADATA_KEY
from hpa_sdk.models.onnx_file import graph_sha256
from tests.small import CARD, write_planes

_CONVOLUTIONS = ((3, 16, 7, 8), (16, 64, 3, 2), (64, 256, 3, 2), (256, 384, 3, 1), (384, 128, 1, 1))
_SURE = 4.0


def write_fields(folder: Path, count: int, *, seed: int = 11) -> Path:
    """Write fields whose planes are each either bright or dark."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        brightness = np.where(rng.random((4, 1, 1)) < 0.5, 0.3, 1.0)
        write_planes(folder, f"field-{number:03}", (rng.random((4, 48, 48)) * 255 * brightness).astype(np.uint8))
    return folder


def read_images(folder: Path) -> npt.NDArray[np.float32]:
    return np.stack([CARD.preprocessing(read_planes(sample)) for sample in find_samples(folder)])


def answers(model: Path | bytes, folder: Path) -> npt.NDArray[np.float32]:
    """The probabilities for all fields, by onnxruntime alone."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    images = read_images(folder)
    return np.concatenate([session.run(["probabilities"], {"image": image[np.newaxis]})[0] for image in images])


def write_labels(folder: Path, present: npt.NDArray[np.bool_]) -> None:
    """Write the table that says which classes each field has, in the order of the folder."""
    rows = [
        f"{sample.id},{' '.join(map(str, np.flatnonzero(row)))}"
        for sample, row in zip(find_samples(folder), present, strict=True)
        if row.any()
    ]
    (folder / "train.csv").write_text("\n".join(["Id,Target", *rows]) + "\n", encoding="utf-8")


def write_network(path: Path, folder: Path, **changes: Any) -> Path:
    """Write the network, its last layer such that every class splits these fields at 0.5 with a gap around it."""
    session = onnxruntime.InferenceSession(_build(np.zeros((512, 28)), np.zeros(28)).SerializeToString())
    embeddings = np.concatenate(
        [session.run(["embedding"], {"image": image[None]})[0] for image in read_images(folder)]
    )
    # Of many directions those along which the fields fall into two groups, neither of them small, furthest apart.
    directions = np.random.default_rng(6).normal(0, 1, (512, 400))
    logits = np.sort(embeddings @ directions, axis=0)
    quarter = len(logits) // 4
    gaps = np.diff(logits[quarter:-quarter], axis=0)
    clearest = np.argsort(gaps.max(axis=0) / logits.std(axis=0))[-len(Label) :]
    rows = gaps[:, clearest].argmax(axis=0)
    scale = _SURE / gaps[rows, clearest]
    middle = (logits[quarter + rows, clearest] + logits[quarter + rows + 1, clearest]) / 2
    model = _build(directions[:, clearest] * scale, -middle * scale)
    card = replace(CARD, weights_sha256=graph_sha256(model.SerializeToString()), **changes)
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, path)
    return path


def _build(last_weight: npt.NDArray[np.float64], last_bias: npt.NDArray[np.float64]) -> onnx.ModelProto:
    rng = np.random.default_rng(5)
    arrays = {
        "scale": np.asarray([1.5, 1.2, 0.8], np.float32),
        "shift": np.asarray([-0.1, 0.1, 0.2], np.float32),
        "embedding_weight": rng.normal(0, 0.1, (128, 512)).astype(np.float32),
        "embedding_bias": rng.normal(0, 0.1, 512).astype(np.float32),
        "last_weight": last_weight.astype(np.float32),
        "last_bias": last_bias.astype(np.float32),
    }
    nodes = [
        helper.make_node("Mul", ["image", "scale"], ["scaled"], name="Mul_1"),
        helper.make_node("Add", ["scaled", "shift"], ["normalized"], name="Add_1"),
        helper.make_node("Transpose", ["normalized"], ["x0"], name="Transpose_1", perm=[0, 3, 1, 2]),
    ]
    for at, (taken, given, side, stride) in enumerate(_CONVOLUTIONS):
        arrays[f"w{at}"] = rng.normal(0, (2 / (taken * side**2)) ** 0.5, (given, taken, side, side)).astype(np.float32)
        arrays[f"b{at}"] = rng.normal(0, 0.1, given).astype(np.float32)
        inputs = [f"x{at}", f"w{at}", f"b{at}"]
        nodes.append(helper.make_node("Conv", inputs, [f"c{at}"], name=f"Conv_{at + 1}", strides=[stride, stride]))
        nodes.append(helper.make_node("Relu", [f"c{at}"], [f"x{at + 1}"], name=f"Relu_{at + 1}"))
    nodes += [
        helper.make_node("GlobalAveragePool", [f"x{len(_CONVOLUTIONS)}"], ["pooled"], name="Pool_1"),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="Flatten_1"),
        helper.make_node("MatMul", ["flat", "embedding_weight"], ["m1"], name="MatMul_1"),
        helper.make_node("Add", ["m1", "embedding_bias"], ["a1"], name="Add_2"),
        helper.make_node("Relu", ["a1"], ["embedding"], name="Relu_e"),
        helper.make_node("MatMul", ["embedding", "last_weight"], ["m2"], name="MatMul_2"),
        helper.make_node("Add", ["m2", "last_bias"], ["a2"], name="Add_3"),
        helper.make_node("Sigmoid", ["a2"], ["probabilities"], name="Sigmoid_1"),
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 299, 299, 3])
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(Label)]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 512]),
    ]
    graph = helper.make_graph(nodes, "spread", [image], outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, producer_name="spread")
