"""Takes out of a quantized network the part of its error that is the same in every field."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from hpa_sdk.prediction import Probabilities, log_odds


def correct_bias(model: onnx.ModelProto, expected: Probabilities, found: Probabilities) -> None:
    """Move the biases of the last dense layer so that the mean logit of each class is the parent's.

    Rounding shifts the sums of a quantized layer, and the layers behind hand the shift on. What it comes to at the end
    is the same for all fields, and one number a class takes it out. Bias correction as of Nagel et al., "Data-free
    quantization through weight equalization and bias correction" (arXiv:1906.04721), at the last layer only, which
    stays float.

    Parameters
    ----------
    model : onnx.ModelProto
        The quantized network, whose last dense layer is float; changed in place. One without dense layers stays as it
        is.
    expected, found : numpy.ndarray
        float32 of shape (fields, 28): the parent's probabilities and the quantized network's, for the same fields.
    """
    dense = [node for node in model.graph.node if node.op_type == "Gemm"]
    if not dense:
        return
    shift = (log_odds(expected) - log_odds(found)).mean(axis=0)
    bias_name = dense[-1].input[2]
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name == bias_name)
    corrected = (numpy_helper.to_array(bias) + shift).astype(np.float32)
    bias.CopyFrom(numpy_helper.from_array(corrected, bias_name))
