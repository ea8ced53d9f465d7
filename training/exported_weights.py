"""Gives a network the weights of an exported model file, and checks that it then gives the file's answers."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from hpa_sdk.inference.device_choice import open_session
from hpa_sdk.inference.session import Session, SessionSettings
from hpa_sdk.labels import HPA_2018
from hpa_sdk.models.checksum import check_checksum, checksum_matches
from hpa_sdk.models.contract import read_model
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_content import ModelContent
from hpa_sdk.models.protobuf_wire import MalformedMessageError
from training.errors import WeightsError
from training.network_forms import NetworkName, preprocessing_of
from training.onnx_graph import LinearLayer, inputs_first, read_linear_layers

EXPORT_SUFFIX = ".onnx"

LARGEST_DIFFERENCE = 1e-4
"""Of the probabilities, and of the embedding in shares of its largest number: more is refused."""

_IMAGES = 4
_PLAIN_EXPORT = "Name the fp32 file that python -m export onnx made, without --raw-planes, or the run's network.keras."
_WITH_KERNEL = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)


@dataclass(frozen=True, slots=True)
class Parent:
    """The network that a fit starts from: an exported model, or that of a run.

    Attributes
    ----------
    sha256 : str
        SHA-256 of the file, in hexadecimal.
    card : ModelCard
        Its card.
    """

    sha256: str
    card: ModelCard


def read_parent(path: Path, name: NetworkName) -> Parent:
    """Read the card of an exported model, and check that a fit of this network can start from it.

    Raises
    ------
    WeightsError
        The file is of another network, another precision or algorithm, has other labels, or takes other images.
    ModelFileError, ModelCardError
        The file can't be used at all, or was altered after its export.
    """
    return _parent(ModelContent.read(path), path, name)


def start_from_export(network: keras.Model, path: Path) -> None:
    """Give a network the weights of an exported model.

    The export folds batch normalizations into convolutions, so their means and variances are not in the file. Each
    normalization gets the mean 0 and the variance 1, and scale and shift from the file: the answers are the file's, but
    the network is not ready for training mode, which normalizes by the statistics of each batch. Before a fit,
    `training.fit.folded_statistics` sets means and variances to those of the training fields without a change of the
    answers.

    Parameters
    ----------
    network : keras.Model
        As `training.networks.build_network` makes it; changed in place.
    path : pathlib.Path
        An fp32 file made by ``python -m export onnx``, also one that ``hpa adapt`` changed.

    Raises
    ------
    WeightsError
        As for `read_parent`; or the graph is another one, or gives other answers by onnxruntime.
    ModelFileError, ModelCardError, DeviceError
        The file can't be used at all, or onnxruntime is missing.
    """
    content = ModelContent.read(path)
    card = _parent(content, path, network.name).card
    with closing(open_session(content, "cpu", SessionSettings(tensors=card.tensors))) as session:
        try:
            found = read_linear_layers(memoryview(content.model))
            places = _places(network)
            if len(found) != len(places):
                raise _misfit(path, network, f"it has {len(found)} linear layers, not {len(places)}")
            for place, layer in zip(places, found, strict=True):
                place.fill(layer)
        except (MalformedMessageError, ValueError, KeyError) as error:  # Keras refuses other shapes by a ValueError
            raise _misfit(path, network, str(error)) from error
        difference = _difference(network, session)
    if not difference <= LARGEST_DIFFERENCE:
        raise _misfit(path, network, f"with its weights the answers differ by {difference:.2g}")


def _difference(network: keras.Model, session: Session) -> float:
    """Give the largest difference of the probabilities, and of the embedding as a share of its largest number."""
    images = np.random.default_rng(0).random((_IMAGES, *network.input_shape[1:]), np.float32)
    probabilities, embeddings = session.run(images)
    both = keras.Model(network.input, [network.output, network.get_layer("embedding").output])
    found, embedded = map(keras.ops.convert_to_numpy, both(images, training=False))
    difference = np.abs(found - probabilities).max()
    if embeddings.shape[1]:
        difference = max(difference, np.abs(embedded - embeddings).max() / max(np.abs(embeddings).max(), 1e-30))
    return float(difference)


def _parent(content: ModelContent, path: Path, name: NetworkName) -> Parent:
    model = memoryview(content.model)
    if checksum_matches(model) is False:
        check_checksum(model, path)
    _, card = read_model(content)
    problem = None
    if card.precision != "fp32" or card.variant is not None:
        problem = f"the file is a variant ({card.computation}): its weights are not those of the network"
    elif card.preprocessing.place == "graph":
        problem = "the file takes raw planes: its graph is more than the network"
    elif card.architecture != name:
        problem = f"the file is of the network {card.architecture}, not {name}"
    elif card.unit != "field":
        problem = f"the file answers for single {card.unit}s, and networks are fitted on whole fields"
    elif card.label_scheme != HPA_2018:
        problem = f"the file answers with the {len(card.labels)} classes of {card.scheme}, not those of {HPA_2018.name}"
    elif card.preprocessing != preprocessing_of(name):
        problem = f"the file takes other images than {name}, by the preprocessing on its card"
    if problem is not None:
        raise WeightsError(problem, where=path, remedy=_PLAIN_EXPORT)
    return Parent(content.identity.sha256, card)


def _misfit(path: Path, network: keras.Model, problem: str) -> WeightsError:
    return WeightsError(
        f"the file can't be turned into {network.name} ({problem})",
        where=path,
        remedy=f"{_PLAIN_EXPORT} Files by other versions of the export can have another graph.",
    )


@dataclass(slots=True)
class _Place:
    """A layer with weights, and the normalization after it; one of both can be missing.

    What follows multiplies the output by `factor`, which the file has in the weights.
    """

    layer: Any = None
    normalization: Any = None
    factor: float = 1.0

    def fill(self, found: LinearLayer) -> None:
        if (self.layer is None) != (found.kernel is None):
            raise ValueError("a layer without weights is where another has some")
        keeps_scale = self.normalization is not None and self.normalization.scale
        if self.layer is not None:
            kernel = _keras_kernel(self.layer, found, scaled=not keeps_scale) / self.factor
            bias = [_wide(found.shift, self.layer.bias) / self.factor] if self.normalization is None else []
            self.layer.set_weights([kernel, *bias])
        if self.normalization is not None:
            beta = self.normalization.beta
            scale = [_wide(found.scale, beta)] if keeps_scale else []
            ones = np.ones(beta.shape, np.float32)
            self.normalization.set_weights(
                [*scale, _wide(found.shift, beta), 0 * ones, (1 - self.normalization.epsilon) * ones]
            )


def _keras_kernel(layer: Any, found: LinearLayer, *, scaled: bool) -> Any:  # noqa: ANN401 - Keras layers, arrays
    kernel = found.kernel
    assert kernel is not None  # noqa: S101 - `fill` made sure
    factors = found.scale if scaled else np.ones(1, np.float32)
    if isinstance(layer, layers.Dense):
        return kernel * factors
    by_output = kernel * factors.reshape(-1, 1, 1, 1)
    return by_output.transpose((2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0))


def _wide(numbers: Any, like: Any) -> Any:  # noqa: ANN401 - arrays, Keras variables
    return np.broadcast_to(numbers, like.shape)


def _places(network: keras.Model) -> list[_Place]:
    """Give the places for weights, in the order of `inputs_first`."""
    places: list[_Place] = []
    before = None
    for layer in _in_order(network):
        if isinstance(layer, _WITH_KERNEL):
            places.append(_Place(layer))
        elif isinstance(layer, layers.BatchNormalization):
            if not isinstance(before, _WITH_KERNEL):
                places.append(_Place())
            places[-1].normalization = layer
        elif isinstance(getattr(layer, "scale", None), float):  # Keras' layer of residuals: input + scale * convolution
            places[-1].factor = layer.scale
        before = layer
    return places


def _in_order(network: keras.Model) -> list[Any]:
    producers = {id(layer.output): layer for layer in network.layers}

    def inputs(layer: Any) -> list[Any]:  # noqa: ANN401 - any Keras layer
        if isinstance(layer, layers.InputLayer):
            return []
        given = layer.input if isinstance(layer.input, list) else [layer.input]
        return [producers[id(tensor)] for tensor in given]

    if any(isinstance(layer, keras.Model) for layer in network.layers):  # the whole network is a chain
        return [
            part
            for layer in network.layers
            for part in (_in_order(layer) if isinstance(layer, keras.Model) else [layer])
        ]
    return inputs_first(network.layers[-1], inputs)
