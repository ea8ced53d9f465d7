"""Makes stand-ins of published networks: random weights behind exactly their interface."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from hpa_sdk.labels import HPA_2018, HPA_2021, SCHEMES, LabelScheme
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.network_form import CellCrop, Tensors
from hpa_sdk.preprocessing import ChannelName, Planes, Preprocessing

OWN_SCHEME = LabelScheme("lab-3", ("Filopodia", "Stress granules", "Nothing, really"))


@dataclass(frozen=True, kw_only=True)
class Interface:
    """The interface of a network.

    Attributes
    ----------
    channels : tuple of str
        Its planes in order.
    side : int or None
        Of the image to which planes are resized; None for as they come.
    open_sides : bool
        Whether the file leaves height and width open.
    batch : int or None
        The only batch size; None for any.
    """

    scheme: LabelScheme = HPA_2018
    channels: tuple[ChannelName, ...] = ("red", "green", "blue", "yellow")
    side: int | None = 96
    open_sides: bool = False
    batch: int | None = 1
    layout: str = "nchw"
    scores: str = "classes"
    embedding: str | None = "features"
    width: int = 1024
    logits: bool = False
    opset: int = 11


WINNER = Interface(side=1024, open_sides=True)
"""The winner of the challenge of 2018 (CellProfiling/densenet), with probabilities."""

SINGLE_CELL = Interface(scheme=HPA_2021, side=128, width=2048)
"""The single-cell network of the challenge of 2021 (oeway/hpa-bestfitting-inceptionv3)."""

THREE_CHANNELS = Interface(channels=("red", "blue", "green"), embedding=None, batch=None, side=None, open_sides=True)
"""A network that takes no endoplasmic reticulum, in the order of SubCell's ``rbg``."""


def card_of(interface: Interface, **changes: object) -> ModelCard:
    """Return the card that describes a stand-in."""
    colours = range(len(interface.channels))
    card = ModelCard(
        name="stand-in",
        architecture="convolutions with random weights",
        scheme=interface.scheme.name,
        labels=interface.scheme.names,
        thresholds=(0.5,) * len(interface.scheme),
        preprocessing=Preprocessing(
            channels=interface.channels,
            blend=tuple(tuple(float(row == column) for column in colours) for row in colours),
            size=interface.side,
            layout="nchw" if interface.layout == "nchw" else "nhwc",
        ),
        tensors=Tensors(
            input="image",
            scores=interface.scores,
            embedding=interface.embedding,
            scores_are="logits" if interface.logits else "probabilities",
        ),
        unit="cell" if interface.scheme == HPA_2021 else "field",
        cell=CellCrop(margin=20, masked=True) if interface.scheme == HPA_2021 else None,
    )
    return replace(card, **changes)  # type: ignore[arg-type]


def write_stand_in(path: Path, interface: Interface, seed: int = 0) -> Path:
    """Write the network, without a card. Its scores depend on every plane and on where their brightness lies."""
    rng = np.random.default_rng(seed)
    channels, classes, batch = len(interface.channels), len(interface.scheme), interface.batch or "N"
    side: list[int | str] = ["H", "W"] if interface.open_sides or not interface.side else [interface.side] * 2
    shape = [batch, channels, *side] if interface.layout == "nchw" else [batch, *side, channels]
    weights = {
        "stem": rng.normal(0, 0.3, (12, channels, 9, 9)),
        "deep": rng.normal(0, 0.2, (24, 12, 5, 5)),
        "wide": rng.normal(0, 0.2, (24, interface.width)),
        "last": rng.normal(0, 1 / np.sqrt(interface.width), (interface.width, classes)),
        "bias": rng.normal(0, 0.5, classes),
    }
    features, scores = interface.embedding or "features", interface.scores
    nodes = [
        helper.make_node("Conv", ["planes", "stem"], ["a"], strides=[4, 4], pads=[4] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "deep"], ["c"], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("MatMul", ["f", "wide"], ["g"]),
        helper.make_node("Relu", ["g"], [features]),
        helper.make_node("Gemm", [features, "last", "bias"], [scores if interface.logits else "logits"]),
    ]
    if not interface.logits:
        nodes.append(helper.make_node("Sigmoid", ["logits"], [scores]))
    order = [0, 1, 2, 3] if interface.layout == "nchw" else [0, 3, 1, 2]
    nodes.insert(0, helper.make_node("Transpose", ["image"], ["planes"], perm=order))
    outputs = [helper.make_tensor_value_info(scores, TensorProto.FLOAT, [batch, classes])]
    if interface.embedding:
        outputs.append(helper.make_tensor_value_info(features, TensorProto.FLOAT, [batch, interface.width]))
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        outputs,
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    opset = helper.make_opsetid("", interface.opset)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=6, producer_name="pytorch"), path)
    return path


def documented_answer(
    path: Path, interface: Interface, planes: Planes
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    """Answer one field as the publisher's script does it: resize each plane, stack, divide by 255, run a session."""
    by_name = dict(zip(("red", "green", "blue", "yellow"), planes, strict=False))
    image = np.stack([by_name[channel] for channel in interface.channels]).astype(np.float32)
    if interface.side is not None:
        image = np.stack([cv2.resize(plane, (interface.side, interface.side)) for plane in image])
    image = image / np.float32(255)
    image = image if interface.layout == "nchw" else image.transpose(1, 2, 0)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    batch = np.repeat(image[np.newaxis], interface.batch or 1, axis=0)
    found = dict(zip(names, session.run(None, {"image": batch}), strict=True))
    scores = found[interface.scores][0].astype(np.float64)
    probabilities = 1 / (1 + np.exp(-scores)) if interface.logits else scores
    return probabilities.astype(np.float32), found[interface.embedding][0] if interface.embedding else None


def write_card(path: Path, interface: Interface, **keys: object) -> Path:
    """Write the card of a stand-in as a person would: a TOML file."""
    lines = [
        "name = 'stand-in'",
        f"scheme = '{interface.scheme.name}'",
        f"thresholds = {keys.get('thresholds', 0.5)}",
        *([f"labels = {json.dumps(interface.scheme.names)}"] if interface.scheme.name not in SCHEMES else []),
        f"unit = '{'cell' if interface.scheme == HPA_2021 else 'field'}'",
        "[preprocessing]",
        f"channels = {json.dumps(interface.channels)}",
        f"size = {interface.side or 0}",
        f"layout = '{interface.layout}'",
        f"scale = {keys.get('scale', 255)}",
        "[tensors]",
        "input = 'image'",
        f"scores = '{interface.scores}'",
        f"scores_are = '{'logits' if interface.logits else 'probabilities'}'",
        f"embedding = '{interface.embedding or ''}'",
        *(["[cell]", "margin = 20", "masked = true"] if interface.scheme == HPA_2021 else []),
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
