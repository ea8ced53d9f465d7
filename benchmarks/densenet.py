"""Builds a DenseNet-121 of the published interface: planes in, 28 probabilities and 1024 features out.

    python -m training simulate FIELDS --count 160 --size 256
    python -m benchmarks.densenet FIELDS -o densenet.onnx --card card.toml
    python -m export adopt densenet.onnx --card card.toml -o own.onnx

The weights are random. Its batch statistics and its last layer are fitted to the fields, so that its answers differ
between fields as those of a fitted network do.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"  # the only backend that tf2onnx converts from

import keras
import numpy as np
import numpy.typing as npt
import onnx
import tensorflow as tf
import tf2onnx

from export.fields import read_fields
from hpa_sdk.fields.samples import Channel
from hpa_sdk.labels import HPA_2018
from hpa_sdk.models.card_file import read_card_file

_BATCH = 16
_RIDGE = 0.01
_SURE = 6.0

_CARD = """\
name = "densenet121"
architecture = "densenet121"
scheme = "hpa-2018"
thresholds = 0.5

[preprocessing]
channels = ["red", "green", "blue", "yellow"]
size = {side}
layout = "nchw"
scale = 255

[tensors]
input = "image"
scores = "classes"
scores_are = "probabilities"
embedding = "features"
"""


def main() -> None:
    """Build the network, and write it with its card beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fields", type=Path, help="folder of labelled fields")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--opset", type=int, default=11)
    parser.add_argument("--count", type=int, default=96, help="most fields to fit the last layer to")
    parser.add_argument("--ridge", type=float, default=_RIDGE, help="how loosely the last layer is fitted")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True, help="card file to write")
    options = parser.parse_args()
    options.card.write_text(_CARD.format(side=options.side), encoding="utf-8")
    card = read_card_file(options.card)
    fields = read_fields(options.fields, card, least=1).first(options.count)
    if fields.targets is None:
        parser.error(f"{options.fields} has no labels")
    images = np.stack(list(fields.images(card.preprocessing)))
    onnx.save(build(images, fields.targets, opset=options.opset, ridge=options.ridge), options.output)


def build(
    images: npt.NDArray[np.float32], targets: npt.NDArray[np.bool_], *, opset: int = 11, ridge: float = _RIDGE
) -> onnx.ModelProto:
    """Build the network and convert it.

    Parameters
    ----------
    images : numpy.ndarray
        float32 of shape (fields, 4, side, side), 0 to 1.
    targets : numpy.ndarray
        bool of shape (fields, 28): the classes of each field.
    opset : int
        Version of the standard operators.
    ridge : float
        Weight of the penalty on the last layer: the larger, the closer its answers are to one half.

    Returns
    -------
    onnx.ModelProto
        Input ``image`` (1, 4, side, side), outputs ``classes`` (1, 28) and ``features`` (1, 1024).
    """
    keras.utils.set_random_seed(0)
    side = images.shape[-1]
    network = keras.applications.DenseNet121(
        weights=None, input_shape=(side, side, len(Channel)), classes=len(HPA_2018), classifier_activation="sigmoid"
    )
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.5
    features = keras.Model(network.input, network.layers[-2].output)
    batches = [images[at : at + _BATCH].transpose(0, 2, 3, 1) for at in range(0, len(images), _BATCH)]
    for batch in batches[:4] * 2:
        features(batch, training=True)  # the batch statistics of a network without a fit are 0 and 1
    found = np.concatenate([np.asarray(features(batch, training=False)) for batch in batches]).astype(np.float64)
    network.layers[-1].set_weights(_last_layer(found, targets, ridge))
    both = keras.Model(network.input, {"classes": network.output, "features": network.layers[-2].output})
    return _convert(both, side, opset)


def _last_layer(
    features: npt.NDArray[np.float64], targets: npt.NDArray[np.bool_], ridge: float
) -> list[npt.NDArray[np.float32]]:
    """Fit a dense layer by ridge regression on standardized features: logits of about `_SURE` for each field."""
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    scaled = (features - mean) / deviation
    gram = scaled @ scaled.T
    wanted = np.where(targets, _SURE, -_SURE)
    offset = wanted.mean(axis=0)
    within = np.linalg.solve(gram + ridge * np.trace(gram) / len(gram) * np.eye(len(gram)), wanted - offset)
    weight = scaled.T @ within / deviation[:, np.newaxis]
    return [weight.astype(np.float32), (offset - mean @ weight).astype(np.float32)]


def _convert(network: keras.Model, side: int, opset: int) -> onnx.ModelProto:
    image = tf.TensorSpec((1, side, side, len(Channel)), tf.float32, name="image")

    @tf.function(input_signature=[image])  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def answer(image: tf.Tensor) -> dict[str, tf.Tensor]:
        given: dict[str, tf.Tensor] = network(image, training=False)
        return given

    model: onnx.ModelProto
    model, _ = tf2onnx.convert.from_function(answer, input_signature=[image], opset=opset, inputs_as_nchw=["image"])
    by_name = {value.name: value for value in model.graph.output}
    del model.graph.output[:]
    model.graph.output.extend([by_name["classes"], by_name["features"]])
    return model


if __name__ == "__main__":
    main()
