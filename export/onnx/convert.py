"""Converts a Keras network to ONNX with the names and shapes of the contract."""

from __future__ import annotations

from typing import Any

import keras
import onnx
import tensorflow as tf
import tf2onnx

from export.errors import ConversionError, RunFolderError
from export.onnx.simplify import simplify
from hpa_sdk.models.contract import BATCH, OPSET, inputs, outputs
from hpa_sdk.models.model_card import ModelCard


def convert(network: keras.Model, card: ModelCard, *, opset: int = OPSET) -> onnx.ModelProto:
    """Convert a network; the card is embedded later.

    Parameters
    ----------
    network : keras.Model
        As `export.onnx.fitted_run.FittedNetwork` holds it, under the TensorFlow backend.
    card : ModelCard
        Gives the form of the input, and the names of the tensors.
    opset : int
        Version of the standard operators.

    Returns
    -------
    onnx.ModelProto
        Inputs and outputs as the card names them, batch dimension ``N``.

    Raises
    ------
    RunFolderError
        Keras does not run on TensorFlow, the only backend that tf2onnx converts from.
    ConversionError
        The converter fails, for example for an unknown opset.
    """
    if keras.backend.backend() != "tensorflow":
        raise RunFolderError(
            f"Keras runs on {keras.backend.backend()}, and only TensorFlow networks can be converted",
            remedy="Set KERAS_BACKEND=tensorflow; networks fitted on any backend load there.",
        )
    ((name, form),) = inputs(card).items()
    image = tf.TensorSpec((None, *form.shape[1:]), tf.as_dtype(form.dtype), name=name)

    @tf.function(input_signature=[image])  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def answer(image: Any) -> dict[str, Any]:  # noqa: ANN401
        outputs: dict[str, Any] = network(image, training=False)
        return outputs

    try:
        model, _ = tf2onnx.convert.from_function(answer, input_signature=[image], opset=opset)
        _order_and_name(model, card)
        return simplify(model)
    except Exception as error:  # tf2onnx and onnx raise ValueError, RuntimeError and all errors of their libraries
        raise ConversionError(
            f"the network can't be converted to opset {opset} ({error})",
            remedy=f"Use opset {OPSET}, and the versions in constraints.txt.",
        ) from error


def _order_and_name(model: onnx.ModelProto, card: ModelCard) -> None:
    by_name = {value.name: value for value in model.graph.output}
    del model.graph.output[:]
    model.graph.output.extend(by_name[name] for name in outputs(card))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
