"""Takes the statistics of batch normalization anew before a network is judged, so that they belong to its weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any

import keras
import numpy as np

from training.prepared import Images

# As in a step of both recipes. Keras keeps what all layers of a batch gave until the last has run: of 32 fields, 14 GB.
_IMAGES_A_BATCH = 10


class FreshStatistics(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Takes means and variances over the same training images whenever a judgement begins.

    Batch normalization judges with running averages (Keras' momentum is 0.99), which lag behind the weights by hundreds
    of steps through 200 layers; and a moving average of the weights has none of its own. A short fit is then judged far
    below what its weights can do, and the wrong epoch is kept. The mean over many batches of what each batch had, with
    the weights as they are, is the remedy of Wu and Johnson ("Rethinking 'Batch' in BatchNorm", arXiv:2105.07576).

    Stands behind Keras' SwapEMAWeights where weights are averaged. Normalizations of a frozen backbone keep the
    statistics with which the layers behind it are fitted.

    Parameters
    ----------
    images : numpy.ndarray
        float32 of shape (N, 299, 299, 3): training images as they are judged, without augmentation.
    """

    def __init__(self, images: Images) -> None:
        super().__init__()
        self._images = images

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Take the statistics."""
        del logs
        take_statistics(self.model, self._images)


def take_statistics(network: keras.Model, images: Images) -> None:
    """Set means and variances of the normalizations that are fitted to those of these images.

    Parameters
    ----------
    network : keras.Model
        A network whose layers stand one behind the other, as `training.networks.build_network` makes it; changed in
        place.
    images : numpy.ndarray
        float32 of shape (N, 299, 299, 3).
    """
    normalizations: list[keras.layers.BatchNormalization] = []
    needed: list[keras.Layer] = []
    for at, layer in enumerate(network.layers):
        if found := list(_fitted_normalizations(layer)):
            normalizations += found
            needed = network.layers[1 : at + 1]  # behind the input
    momenta = [layer.momentum for layer in normalizations]
    for number, batch in enumerate(np.array_split(images, -(-len(images) // _IMAGES_A_BATCH))):
        for layer in normalizations:
            # Then the running average is the mean of all batches so far.
            layer.momentum = number / (number + 1)
        reduce(lambda handed_on, layer: layer(handed_on, training=True), needed, batch)
    for layer, momentum in zip(normalizations, momenta, strict=True):
        layer.momentum = momentum


def _fitted_normalizations(layer: Any) -> Iterator[keras.layers.BatchNormalization]:  # noqa: ANN401 - any Keras layer
    if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
        yield layer
    for inner in getattr(layer, "layers", ()):
        yield from _fitted_normalizations(inner)
