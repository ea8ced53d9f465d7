"""Recomputes the statistics of batch normalization before each validation, so that they match the weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from training.data.prepared import Images

# About the batch size of the recipes, and a divisor of the 256 of `strong`: so only one size is compiled.
_IMAGES_A_BATCH = 8


class RecomputeStatistics(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Recomputes means and variances over the same training images before each validation.

    Batch normalization validates with running averages (Keras' momentum is 0.99). Through 200 layers they lag behind
    the weights by hundreds of steps; and a moving average of the weights has none of its own. A short fit then gets far
    worse figures than its weights can reach, and the wrong epoch is chosen. The remedy of Wu and Johnson ("Rethinking
    'Batch' in BatchNorm", arXiv:2105.07576) is the mean of the batch statistics over many batches, with fixed weights.

    If weights are averaged, it must come after Keras' SwapEMAWeights. Normalizations of a frozen backbone keep the
    statistics with which the layers behind it are fitted.

    Parameters
    ----------
    images : numpy.ndarray
        float32 of shape (N, size, size, colours): training images without augmentation, as in validation.
    """

    def __init__(self, images: Images) -> None:
        super().__init__()
        self._images = images
        self._fitted: _Fitted | None = None

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Recompute the statistics."""
        del logs
        self._fitted = self._fitted or _Fitted(self.model)
        self._fitted.take_statistics(self._images)


def take_statistics(network: keras.Model, images: Images) -> None:
    """Set means and variances of the trainable normalizations to those of these images.

    Parameters
    ----------
    network : keras.Model
        Changed in place.
    images : numpy.ndarray
        float32 of shape (N, size, size, colours).
    """
    _Fitted(network).take_statistics(images)


class _Fitted(keras.Model):  # type: ignore[misc]  # Keras has no types
    """A network in training mode; Keras compiles it once, under any backend."""

    def __init__(self, network: keras.Model) -> None:
        super().__init__(name=f"{network.name}_while_fitted")
        self._network = network
        self._normalizations = list(_fitted_normalizations(network))

    def call(self, images: Any) -> Any:  # noqa: ANN401 - a tensor of any backend
        return self._network(images, training=True)

    def take_statistics(self, images: Images) -> None:
        """Set the statistics of the network to the mean of the batch statistics."""
        statistics = [
            variable for layer in self._normalizations for variable in (layer.moving_mean, layer.moving_variance)
        ]
        momenta = [layer.momentum for layer in self._normalizations]
        for layer in self._normalizations:
            layer.momentum = 0.0  # then the running average is the value of the last batch
        batches = np.array_split(images, -(-len(images) // _IMAGES_A_BATCH))
        sums: list[Any] = [0.0] * len(statistics)
        for batch in batches:
            self.predict_on_batch(batch)
            sums = [
                so_far + keras.ops.convert_to_numpy(one).astype(np.float64)
                for so_far, one in zip(sums, statistics, strict=True)
            ]
        for variable, total in zip(statistics, sums, strict=True):
            variable.assign(total / len(batches))
        for layer, momentum in zip(self._normalizations, momenta, strict=True):
            layer.momentum = momentum


def _fitted_normalizations(layer: Any) -> Iterator[keras.layers.BatchNormalization]:  # noqa: ANN401 - any Keras layer
    if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
        yield layer
    for inner in getattr(layer, "layers", ()):
        yield from _fitted_normalizations(inner)
