"""Removes the part of a quantized network's error that is the same in every field."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from hpa_sdk.models.network_form import Tensors
from hpa_sdk.prediction import Probabilities, log_odds


def correct_bias(model: onnx.ModelProto, tensors: Tensors, expected: Probabilities, found: Probabilities) -> None:
    """Change the biases of the last dense layer so that the mean logit of each class is the parent's.

    Rounding shifts the sums of a quantized layer, and the shift passes through the later layers. At the end it is the
    same for all fields, so one number per class removes it. This is the bias correction of Nagel et al., "Data-free
    quantization through weight equalization and bias correction" (arXiv:1906.04721), only at the last layer, which
    stays float.

    Parameters
    ----------
    model : onnx.ModelProto
        The quantized network, changed in place. It is not changed if it does not end in a float dense layer with a
        bias, and a sigmoid unless it gives logits.
    tensors : Tensors
        Name and meaning of the scores.
    expected, found : numpy.ndarray
        float32 of shape (fields, classes): the parent's probabilities and the quantized network's, for the same fields.
    """
    shift = (log_odds(expected) - log_odds(found)).mean(axis=0)
    bias = _last_bias(model.graph, tensors)
    if bias is not None and list(bias.dims) == list(shift.shape):
        corrected = (numpy_helper.to_array(bias) + shift).astype(np.float32)
        bias.CopyFrom(numpy_helper.from_array(corrected, bias.name))


def _last_bias(graph: onnx.GraphProto, tensors: Tensors) -> onnx.TensorProto | None:
    """Find the bias of the dense layer that gives the scores: by a sigmoid, or as logits."""
    producers = {name: node for node in graph.node for name in node.output}
    last = producers.get(tensors.scores)
    if tensors.scores_are == "probabilities":
        last = producers.get(last.input[0]) if last is not None and last.op_type == "Sigmoid" else None
    if last is None or last.op_type != "Gemm" or any(part.name == "beta" and part.f != 1 for part in last.attribute):
        return None
    return next((tensor for tensor in graph.initializer if tensor.name in last.input[2:]), None)
