"""Counts the multiplications of a network for one field, to compare a rate with a processor's peak."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
from onnx import shape_inference


def multiply_adds(model: Path) -> int:
    """Count the multiply-adds of convolutions and matrix products for one field."""
    proto = onnx.load(model)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = shape_inference.infer_shapes(proto).graph
    shapes = {
        value.name: [length.dim_value for length in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    count = 0
    for node in graph.node:
        if node.op_type == "Conv":  # weights: outputs, inputs, height, width
            count += math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type in {"MatMul", "Gemm"}:
            count += math.prod(shapes[node.input[1]])
    return count
