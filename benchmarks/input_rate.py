"""Measures whether reading keeps up with the networks, and which share of the machine's peak rate a fit uses.

    python -m benchmarks.input_rate
    python -m benchmarks.input_rate --steps 200 --precision mixed_bfloat16      # on a GPU

Both networks are fitted as in a recipe's last stage, in turn on prepared images and on one repeated batch, which costs
nothing to read; the medians of the pairs are printed with their ratio. The images are in the page cache.

The peak is the fastest of several products of square matrices in the same precision, measured in the same run. A field
costs 3 times the multiply-adds of its forward pass (Conv2D and Dense; forward, gradient by inputs, gradient by
weights), each of them two operations.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import keras
from keras import ops

from training.data.batches import FieldBatches
from training.data.dataset import Dataset, Targets, read_dataset
from training.data.prepared import Images, ImageSource, prepare
from training.fit.recipe import Precision, read_recipe
from training.fit.stage import compile_stage
from training.network_forms import STUDY_NETWORKS, NetworkName
from training.networks import build_network
from training.simulation import simulate

_WANTED = 0.9
_SIDES = (1024, 2048, 4096, 8192)
_PRODUCTS = 4
_LONG = 5.0


def main() -> None:
    """Run the measurement for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12, help="steps of each fit; reading is up to 8 of them ahead")
    parser.add_argument("--pairs", type=int, default=2, help="how often each pair is measured")
    parser.add_argument("--precision", choices=get_args(Precision), default="float32")
    parser.add_argument("--network", choices=STUDY_NETWORKS, action="append", help="default: both")
    parser.add_argument("--fields", type=int, default=64, help="simulated fields to draw from")
    options = parser.parse_args()
    keras.mixed_precision.set_global_policy(options.precision)
    peak = peak_rate()
    click.echo(f"{keras.backend.backend()}, {options.precision}: peak {peak / 1e12:.3f} TFLOP/s")
    with tempfile.TemporaryDirectory() as folder:
        simulate(Path(folder), count=options.fields, seed=1, size=128, workers=1)
        dataset = read_dataset(Path(folder))
        images = prepare(dataset, Path(folder) / ".prepared")
        for name in options.network or STUDY_NETWORKS:
            measure(name, dataset, images, steps=options.steps, pairs=options.pairs, peak=peak)


def measure(name: NetworkName, dataset: Dataset, images: ImageSource, *, steps: int, pairs: int, peak: float) -> None:
    """Print the rates of one network."""
    recipe = read_recipe("study").adjusted(name)
    stage = recipe.stages[-1]
    network = build_network(name)
    compile_stage(network, recipe, stage)
    batches = FieldBatches(
        images,
        dataset.targets,
        batch_size=recipe.batch_size,
        steps=steps,
        augmentation=stage.augmentation,
        seed=0,
    )
    start = time.perf_counter()
    read = [batches[step] for step in range(steps)]
    reading = steps / (time.perf_counter() - start)
    bare_batches = RepeatedBatch(read[0], steps=steps)
    # Warm-up: in the first steps the network is traced and its memory is allocated.
    step_rate(network, RepeatedBatch(read[0], steps=2))
    runs = [(step_rate(network, bare_batches), step_rate(network, batches)) for _ in range(pairs)]
    bare, fed = (statistics.median(rates) for rates in zip(*runs, strict=True))
    ratio = statistics.median(fed / bare for bare, fed in runs)
    forward = multiply_adds(network)
    used = 2 * 3 * forward * fed * recipe.batch_size
    click.echo(f"{name}, batches of {recipe.batch_size}:")
    for what, rate in (("one repeated batch", bare), ("prepared images", fed), ("reading alone", reading)):
        click.echo(f"  {what:28}{rate:9.3f} steps/s {rate * recipe.batch_size:10.2f} fields/s")
    click.echo(f"  {'with input / without':28}{ratio:9.3f} ({'at least' if ratio >= _WANTED else 'BELOW'} {_WANTED})")
    click.echo(f"  {'multiply-adds, forward':28}{forward / 1e9:9.3f} G a field")
    click.echo(f"  {'arithmetic':28}{used / 1e12:9.3f} TFLOP/s, {used / peak:.0%} of the peak")


class RepeatedBatch(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """One repeated batch, at no cost."""

    def __init__(self, batch: tuple[Images, Targets], *, steps: int) -> None:
        super().__init__()
        self._batch = batch
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[Images, Targets]:
        return self._batch


class StepTimes(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Records the end time of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Fetch the loss, as a fit does to check it, so that the device has finished the step."""
        float((logs or {})["loss"])
        self.ends.append(time.perf_counter())


def step_rate(network: keras.Model, batches: keras.utils.PyDataset) -> float:
    """Fit for one epoch and give its steps per second, from the end of the first step."""
    times = StepTimes()
    network.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[times])
    return (len(times.ends) - 1) / (times.ends[-1] - times.ends[0])


def multiply_adds(network: keras.Model) -> int:
    """Count the multiply-adds of convolutions and dense layers in the forward pass of one field."""
    return sum(
        math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
        for layer in _layers(network)
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
    )


def _layers(network: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def peak_rate() -> float:
    """Return the operations per second of the fastest matrix product in the precision of the networks."""
    dtype = keras.mixed_precision.dtype_policy().compute_dtype
    best = 0.0
    for side in _SIDES:
        # Scaled so that repeated products neither grow nor vanish.
        matrix = ops.cast(keras.random.normal((side, side), stddev=side**-0.5), dtype)
        fetch(ops.matmul(matrix, matrix))
        start = time.perf_counter()
        product = matrix
        for _ in range(_PRODUCTS):
            product = ops.matmul(matrix, product)
        fetch(product)
        seconds = time.perf_counter() - start
        best = max(best, _PRODUCTS * 2 * side**3 / seconds)
        if seconds > _LONG:
            break
    return best


def fetch(matrix: Any) -> None:  # noqa: ANN401 - a tensor of any Keras backend
    """Wait until a matrix is computed."""
    float(ops.convert_to_numpy(ops.cast(matrix[0, 0], "float32")))


if __name__ == "__main__":
    main()
