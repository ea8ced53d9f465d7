"""Reads the linear layers of an ONNX file, in the order of its graph, without the library onnx."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hpa_sdk.models.onnx_schema import Graph, Model, Node, Tensor
from hpa_sdk.models.protobuf_wire import MalformedMessageError, integer, integers, messages, text

Weights = npt.NDArray[np.float32]

_FLOAT32, _INT64 = 1, 7
_WITH_KERNEL = ("Conv", "MatMul")
_BY_CHANNEL = ("Mul", "Add")

_Part = TypeVar("_Part", bound=Hashable)


@dataclass(slots=True)
class LinearLayer:
    """A layer ``scale * (kernel applied to input) + shift``, where scale and shift have one number for each channel.

    Attributes
    ----------
    kernel : numpy.ndarray or None
        float32: of a convolution (outputs, inputs, height, width), of a dense layer (inputs, outputs). None: the layer
        only scales and shifts.
    scale, shift : numpy.ndarray
        float32 of shape (channels,) or (1,).
    """

    kernel: Weights | None
    scale: Weights
    shift: Weights


def read_linear_layers(model: memoryview) -> list[LinearLayer]:
    """Read the linear layers on which the first output depends.

    A multiplication or an addition of constants belongs to the layer before it.

    Parameters
    ----------
    model : memoryview
        The whole serialized model.

    Returns
    -------
    list of LinearLayer
        As `inputs_first` orders them.

    Raises
    ------
    MalformedMessageError
        The bytes are no ONNX model, or a weight has no content.
    """
    (graph,) = messages(model, Model.GRAPH)
    weights = dict(map(_weights, messages(graph, Graph.INITIALIZER)))
    nodes = list(messages(graph, Graph.NODE))
    inputs = [[str(name, "utf-8") for name in messages(node, Node.INPUT)] for node in nodes]
    outputs = [[str(name, "utf-8") for name in messages(node, Node.OUTPUT)] for node in nodes]
    producers = {name: at for at, names in enumerate(outputs) for name in names}
    output = text(next(messages(graph, Graph.OUTPUT)), 1)

    def before(at: int) -> list[int]:
        return [producers[name] for name in inputs[at] if name in producers]

    layers: list[LinearLayer] = []
    made: dict[str, LinearLayer] = {}
    for at in inputs_first(producers[output], before):
        operator = text(nodes[at], Node.OPERATOR)
        constants = [weights[name] for name in inputs[at] if name in weights]
        given = [name for name in inputs[at] if name not in weights]
        if len(given) != 1 or not constants:
            continue
        if operator in _WITH_KERNEL:
            kernel, *bias = constants
            layer = LinearLayer(kernel, np.ones(1, np.float32), bias[0] if bias else np.zeros(1, np.float32))
            layers.append(layer)
        elif operator in _BY_CHANNEL:
            layer = made.get(given[0]) or LinearLayer(None, np.ones(1, np.float32), np.zeros(1, np.float32))
            if given[0] not in made:
                layers.append(layer)
            numbers = constants[0].reshape(-1)
            if operator == "Mul":
                layer.scale, layer.shift = layer.scale * numbers, layer.shift * numbers
            else:
                layer.shift = layer.shift + numbers
        else:
            continue
        made[outputs[at][0]] = layer
    return layers


def count_weights(model: memoryview) -> int:
    """Count the numbers of all weights of a serialized model; shapes and positions, which are int64, do not count."""
    tensors = messages(model, Model.GRAPH, Graph.INITIALIZER)
    return sum(
        math.prod(integers(tensor, Tensor.DIMENSIONS))
        for tensor in tensors
        if integer(tensor, Tensor.ELEMENT_TYPE) != _INT64
    )


def inputs_first(last: _Part, inputs: Callable[[_Part], Sequence[_Part]]) -> list[_Part]:
    """Order the parts of a graph without cycles: before each part its inputs, the first input first.

    Two graphs of the same network have the same order, for any order in which their parts are stored.

    Parameters
    ----------
    last : hashable
        The part that gives the output.
    inputs : callable
        Returns the parts that a part directly depends on, in order.
    """
    ordered: dict[_Part, None] = {}
    waiting = [last]
    while waiting:
        left = next((part for part in inputs(waiting[-1]) if part not in ordered), None)
        if left is None:
            ordered[waiting.pop()] = None
        else:
            waiting.append(left)
    return list(ordered)


def _weights(tensor: memoryview) -> tuple[str, Weights]:
    if integer(tensor, Tensor.ELEMENT_TYPE) != _FLOAT32:
        return "", np.zeros(0, np.float32)
    shape = integers(tensor, Tensor.DIMENSIONS)
    content = b"".join(messages(tensor, Tensor.RAW)) or b"".join(messages(tensor, Tensor.FLOATS))
    try:
        numbers = np.frombuffer(content, "<f4").reshape(shape)
    except ValueError as error:
        raise MalformedMessageError(f"the weights {text(tensor, Tensor.NAME)} are incomplete") from error
    return text(tensor, Tensor.NAME), numbers.astype(np.float32)
