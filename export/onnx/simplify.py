"""Removes from a converted graph what only the conversion from TensorFlow added, and gives its parts plain names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

import hpa_sdk

_OPERANDS = {"Conv": ("", "weight", "bias"), "MatMul": ("", "weight")}


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """Simplify a converted network; its answers stay the same except for rounding.

    Residual scales are folded into the convolutions before them; a flattening becomes one operator; shapes are
    inferred. Nodes and weights are named by operator and position, so that the names do not depend on what else the
    converting process had built.

    Parameters
    ----------
    model : onnx.ModelProto
        As tf2onnx returns it, with named inputs and outputs; it is changed.

    Returns
    -------
    onnx.ModelProto
        The simplified model.
    """
    graph = model.graph
    _fold_scales(graph)
    _flatten(model)
    _drop_unused(graph)
    _rename(graph)
    graph.name, graph.doc_string = "hpa", ""
    model.producer_name, model.producer_version = "hpa-sdk", hpa_sdk.__version__
    standard = [opset for opset in model.opset_import if not opset.domain]
    del model.opset_import[:]
    model.opset_import.extend(standard)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def _fold_scales(graph: onnx.GraphProto) -> None:
    """Fold each multiplication of a convolution's output by one number into its weights and bias."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    users = Counter(name for node in graph.node for name in node.input)
    kept = []
    for node in graph.node:
        scaled = producers.get(node.input[0]) if node.op_type == "Mul" else None
        scale = weights.get(node.input[1]) if node.op_type == "Mul" else None
        if scaled is None or scaled.op_type != "Conv" or scale is None or users[node.input[0]] != 1:
            kept.append(node)
            continue
        factor = numpy_helper.to_array(scale)
        if factor.size != 1 or any(users[name] != 1 for name in scaled.input[1:]):
            kept.append(node)
            continue
        for name in scaled.input[1:]:
            folded = (numpy_helper.to_array(weights[name]) * factor.reshape(())).astype(np.float32)
            weights[name].CopyFrom(numpy_helper.from_array(folded, name))
        scaled.output[0] = node.output[0]
    del graph.node[:]
    graph.node.extend(kept)


def _flatten(model: onnx.ModelProto) -> None:
    """Replace each Reshape to (batch, rest) by Flatten.

    tf2onnx is not deterministic here: in some processes it computes the shape from the batch, in others it is constant.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [length.dim_value for length in value.type.tensor_type.shape.dim]
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
    }
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        shape = weights.get(node.input[1])
        whole = math.prod(shapes.get(node.input[0], (0, 0))[1:])
        if shape is not None:
            *front, width = numpy_helper.to_array(shape).tolist() or [0]
            flat = front == [-1]
        else:
            width = _width_read(graph, weights, node.output[0])
            flat = shapes.get(node.input[1]) == [2]
        # A dense layer on a feature map reshapes to (batch x positions, channels), which is not a flattening.
        if flat and (whole == width or not whole or width <= 0):
            node.CopyFrom(helper.make_node("Flatten", [node.input[0]], list(node.output), axis=1))


def _width_read(graph: onnx.GraphProto, weights: Mapping[str, onnx.TensorProto], name: str) -> int:
    """Return the input width of the dense layer that reads a tensor; 0 if there is none."""
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[0] == name and node.input[1] in weights:
            return int(weights[node.input[1]].dims[0])
    return 0


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the nodes and weights that no output depends on; nodes are in topological order."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    for field, left in ((graph.node, kept[::-1]), (graph.initializer, weights)):
        del field[:]
        field.extend(left)


def _rename(graph: onnx.GraphProto) -> None:
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    counts: Counter[str] = Counter()
    for node in graph.node:
        counts[node.op_type] += 1
        node.name = f"{node.op_type}_{counts[node.op_type]}"
        operands = _OPERANDS.get(node.op_type, ())
        for place, name in enumerate(node.input):
            operand = operands[place] if place < len(operands) else f"operand_{place}"
            names.setdefault(name, f"{node.name}.{operand}")
            node.input[place] = names[name]
        for place, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}.output" if len(node.output) == 1 else f"{node.name}.output_{place}")
            node.output[place] = names[name]
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    weights = sorted(graph.initializer, key=lambda tensor: tensor.name)
    del graph.initializer[:]
    graph.initializer.extend(weights)
