"""Makes a network from an exported file ready for a fit: its normalizations get statistics of training fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from training.data.prepared import Images

FIELDS = 256
"""Training fields whose statistics are taken."""

_IMAGES_A_BATCH = 8
_PLACES = (0, 1, 2)


def unfold_statistics(network: keras.Model, images: Images) -> None:
    """Set means and variances of the normalizations to those of their inputs, and keep the answers of the network.

    In training mode a normalization uses the mean and variance of each batch. With those that
    `training.exported_weights` sets, 0 and 1, the network of the first step would be another one than that of the file.
    Here each normalization gets the mean m and variance v of its input over these images, and for them the scale
    gamma * sqrt(v + epsilon) and the shift beta + gamma * m: so it computes the same as before, and about the same in
    training mode. One without a scale keeps its variance: the export folded the variance of the earlier fit into the
    convolution, so that its output already has about the variance 1.

    Parameters
    ----------
    network : keras.Model
        As `training.exported_weights.start_from_export` leaves it; changed in place.
    images : numpy.ndarray
        float32 of shape (N, size, size, colours): training images without augmentation.
    """
    front: list[layers.BatchNormalization] = []
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            front.append(layer)
        elif isinstance(layer, keras.Model):
            inner = [part for part in layer.layers if isinstance(part, layers.BatchNormalization)]
            # The backbone's input is the output of what comes before it.
            before = keras.Model(network.input, front[-1].output) if front else None
            found = [
                *(_statistics(keras.Model(network.input, _moments(front)), images) if front else ()),
                *(_statistics(keras.Model(layer.input, _moments(inner)), images, before) if inner else ()),
            ]
            for normalization, (mean, variance) in zip([*front, *inner], found, strict=True):
                _keep_answers(normalization, mean, variance)


def _moments(normalizations: Sequence[layers.BatchNormalization]) -> list[Any]:
    # In float32, also where the network computes in a shorter type.
    inputs = [ops.cast(one.input, "float32") for one in normalizations]
    return [ops.stack([ops.mean(one, _PLACES), ops.var(one, _PLACES)]) for one in inputs]


def _statistics(moments: keras.Model, images: Images, before: keras.Model | None = None) -> list[tuple[Any, Any]]:
    """Give mean and variance over all images for each output of `moments`, of equally weighted batches."""
    batches = np.array_split(images, -(-len(images) // _IMAGES_A_BATCH))
    found = []
    for batch in batches:
        seen = batch if before is None else before.predict_on_batch(batch)
        one = moments.predict_on_batch(seen)
        found.append(one if isinstance(one, list) else [one])
    stacked = [np.stack(of_one).astype(np.float64) for of_one in zip(*found, strict=True)]
    # The variance over all is the mean of the variances plus the variance of the means.
    return [(one[:, 0].mean(axis=0), one[:, 1].mean(axis=0) + one[:, 0].var(axis=0)) for one in stacked]


def _keep_answers(normalization: layers.BatchNormalization, mean: Any, variance: Any) -> None:  # noqa: ANN401 - arrays
    *gamma, beta, _, kept_variance = (one.astype(np.float64) for one in normalization.get_weights())
    factor = gamma[0] if gamma else 1.0
    shift = beta + factor * mean
    if gamma:
        normalization.set_weights([factor * np.sqrt(variance + normalization.epsilon), shift, mean, variance])
    else:
        normalization.set_weights([shift, mean, kept_variance])
