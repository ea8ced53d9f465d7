"""Shares the work of a fit among the devices of one machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import keras

from training.errors import RunError

Devices = Literal["one", "all"]


@contextmanager
def data_parallel(devices: Devices) -> Iterator[None]:
    """Share each batch among all devices while the block builds and fits a network.

    Under JAX by Keras' distribution API, under TensorFlow by MirroredStrategy. Every device holds the whole network and
    sees its part of each batch; the batch size stays the recipe's, so it should be a multiple of the number of devices.

    Parameters
    ----------
    devices : str
        ``"one"`` changes nothing.

    Raises
    ------
    RunError
        The Keras backend can't share a fit.
    """
    if devices == "one":
        yield
    elif keras.backend.backend() == "jax":
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415 - other backends train without it

        with tf.distribute.MirroredStrategy().scope():
            yield
    else:
        raise RunError(
            f"Keras on {keras.backend.backend()} can't share a fit among devices",
            remedy="Use --devices one, or KERAS_BACKEND=tensorflow or jax.",
        )
