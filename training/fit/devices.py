"""Runs a fit on all devices of one machine (data parallelism)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import keras

from training.errors import RunError

Devices = Literal["one", "all"]


@contextmanager
def data_parallel(devices: Devices, batch_size: int) -> Iterator[int]:
    """Split each batch over all devices while the block builds and fits a network.

    JAX uses Keras' distribution API, TensorFlow uses MirroredStrategy. Every device holds the whole network and gets
    its part of each batch; the batch size stays the recipe's, so it must be a multiple of the number of devices.

    Parameters
    ----------
    devices : str
        ``"one"`` changes nothing.
    batch_size : int
        Fields a step, on all devices together.

    Yields
    ------
    int
        The number of devices.

    Raises
    ------
    RunError
        The Keras backend can't split a batch, or the batch can't be split evenly.
    """
    if devices == "one":
        yield 1
    elif keras.backend.backend() == "jax":
        before = keras.distribution.distribution()
        shared = keras.distribution.DataParallel(auto_shard_dataset=False)
        _check_even(batch_size, shared.num_model_replicas)
        keras.distribution.set_distribution(shared)
        try:
            yield shared.num_model_replicas
        finally:
            keras.distribution.set_distribution(before)
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415 - other backends train without it

        strategy = tf.distribute.MirroredStrategy()
        _check_even(batch_size, strategy.num_replicas_in_sync)
        with strategy.scope():
            yield strategy.num_replicas_in_sync
    else:
        raise RunError(
            f"Keras on {keras.backend.backend()} can't share a fit among devices",
            remedy="Use --devices one, or KERAS_BACKEND=tensorflow or jax.",
        )


def _check_even(batch_size: int, count: int) -> None:
    if batch_size % count:
        below = batch_size // count * count
        sizes = f"{below} or {below + count}" if below else str(count)
        raise RunError(
            f"a batch of {batch_size} fields can't be shared evenly among {count} devices",
            remedy=f"Give a multiple of {count}, such as --batch-size {sizes}; or use --devices one.",
        )
