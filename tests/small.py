"""Makes small things of the real form: fields, cards, and ONNX files of the contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Channel, Sample
from hpa_sdk.labels import Label
from hpa_sdk.models.checksum import add_checksum
from hpa_sdk.models.model_card import METADATA_KEY, ModelCard, Training
from hpa_sdk.models.onnx_file import graph_sha256

DEEP_STEP = 16
DEEP_WHITE = DEEP_STEP * 255.0

CARD = ModelCard(
    name="small",
    architecture="means",
    created="2026-01-01T00:00:00+00:00",
    thresholds=(0.5,) * len(Label),
    training=Training(
        recipe="none",
        backend="none",
        versions={},
        seed=0,
        steps=0,
        fields_seen=0,
        initial_weights="none",
        data="none",
        data_fingerprint="",
        code_revision="unknown",
    ),
)


def random_planes(rng: np.random.Generator, *, side: int = 64, dtype: type = np.uint8) -> npt.NDArray[Any]:
    """Four planes of noise, of differing brightness."""
    top = np.iinfo(dtype).max * rng.uniform(0.2, 1, (4, 1, 1))
    return (rng.random((4, side, side)) * top).astype(dtype)


def write_planes(folder: Path, sample_id: str, planes: npt.NDArray[Any], extension: str = ".png") -> Sample:
    """Write four planes as files. New files appear whole; files that exist are written over in their place.

    A watch may look at the folder: if the machine stopped for half a second in the middle of a file, its field would
    count as failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{sample_id}_{channel}{extension}" for channel in Channel]
    for file, plane in zip(files, planes, strict=True):
        aside = file.with_name(f".{file.name}")
        Image.fromarray(plane).save(aside)
        if file.exists():
            file.write_bytes(aside.read_bytes())
            aside.unlink()
        else:
            aside.rename(file)
    red, green, blue, yellow = files
    return Sample(sample_id, (red, green, blue, yellow))


def make_field(folder: Path, sample_id: str, rng: np.random.Generator, **form: Any) -> Sample:
    """Write one field of noise."""
    return write_planes(folder, sample_id, random_planes(rng, **form))


def copy_at_16_bits(data: Path, copies: Path) -> Path:
    """Copy labelled fields with each intensity 16 times as high: the same images where white is `DEEP_WHITE`."""
    for sample in find_samples(data):
        write_planes(copies, sample.id, read_planes(sample).astype(np.uint16) * DEEP_STEP)
    (copies / "train.csv").write_bytes((data / "train.csv").read_bytes())
    return copies


def build_model(seed: int = 3, *, every_pixel: bool = False) -> onnx.ModelProto:
    """Build a network of the contract that sees only the mean colour of an image, or each pixel for itself."""
    rng = np.random.default_rng(seed)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 299, 299, 3])
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(Label)]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 512]),
    ]
    weights = {
        "first": rng.normal(0, 3, (3, 512)).astype(np.float32),
        "last": rng.normal(0, 0.3, (512, len(Label))).astype(np.float32),
    }
    nodes = [
        # Small means of small means: one sum over 89,401 pixels would differ by the order of its threads.
        helper.make_node("Transpose", ["image"], ["colours"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["colours"], ["tiles"], kernel_shape=[13, 13], strides=[13, 13]),
        helper.make_node("GlobalAveragePool", ["tiles"], ["means"]),
        helper.make_node("Flatten", ["means"], ["mean"]),
        helper.make_node("MatMul", ["mean", "first"], ["product"]),
        helper.make_node("Relu", ["product"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "last"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
    ]
    if every_pixel:
        # Each pixel has a weight of its own, so that a shifted grid or another border shows.
        weights["mask"] = rng.normal(0, 1, (299, 299, 3)).astype(np.float32)
        weights["first"] = rng.normal(0, 1, (23 * 23 * 3, 512)).astype(np.float32)
        nodes[:4] = [
            helper.make_node("Mul", ["image", "mask"], ["masked"]),
            helper.make_node("Transpose", ["masked"], ["colours"], perm=[0, 3, 1, 2]),
            helper.make_node("AveragePool", ["colours"], ["tiles"], kernel_shape=[13, 13], strides=[13, 13]),
            helper.make_node("Flatten", ["tiles"], ["mean"]),
        ]
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "small", [image], outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, producer_name="small")


def make_model(path: Path, *, card: ModelCard | None = CARD, **changes: Any) -> Path:
    """Write the small model with a card."""
    model = build_model()
    if card is not None:
        onnx.helper.set_model_props(model, {METADATA_KEY: replace(card, **changes).to_json()})
    onnx.save(model, path)
    return path


def make_model_with_checksum(path: Path, **changes: Any) -> Path:
    """Write the small model as an export does: the card names the hash of the graph, and the file ends in its own."""
    model = build_model()
    card = replace(CARD, weights_sha256=graph_sha256(model.SerializeToString()))
    onnx.helper.set_model_props(model, {METADATA_KEY: replace(card, **changes).to_json()})
    path.write_bytes(add_checksum(model.SerializeToString()))
    return path
