"""Fits the light network on views of several sources, on a CPU, and resumes where it was stopped."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import keras
import numpy as np

from benchmarks.starter.views import Source, draw_view
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.preprocessing import Image
from training.data.dataset import Targets
from training.fit.batch_statistics import take_statistics
from training.light import LIGHT_COLOURS, fixed_layers, start_from_imagenet
from training.networks import build_network

_AHEAD = 4
_WARMUP_SHARE = 0.04
_FIRST_STATISTICS, _LAST_STATISTICS = 128, 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How a fit goes.

    Attributes
    ----------
    presentations : int
        Views shown.
    batch_size : int
        Views a step.
    side : int
        Side of a view: a part of what the network sees in serving, at the same scale, in half the time.
    learning_rate : float
        Highest of Adam; it rises in a twenty-fifth of the steps and falls by half a cosine.
    weight_average : float
        Momentum of the moving average of the weights, which is the result.
    seed : int
        Of views, initial weights and dropout.
    save_every : float
        Seconds between checkpoints.
    """

    presentations: int
    batch_size: int = 16
    side: int = 192
    learning_rate: float = 8e-4
    weight_average: float = 0.995
    seed: int = 0
    save_every: float = 180

    @property
    def steps(self) -> int:
        """Number of optimizer steps."""
        return math.ceil(self.presentations / self.batch_size)

    def rate(self, step: int) -> float:
        """Give the learning rate of a step."""
        warmup = max(1, round(_WARMUP_SHARE * self.steps))
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        return self.learning_rate * (1 + math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup))) / 2


def fit(folder: Path, sources: tuple[Source, ...], budget: Budget, *, initial: Path | None) -> keras.Model:
    """Fit the light network, or resume a fit that was stopped, or read a finished one.

    Parameters
    ----------
    folder : pathlib.Path
        Its state: weights, optimizer and step. Views depend on the seed and the step alone.
    sources : tuple of Source
        What to fit on.
    budget : Budget
        How.
    initial : pathlib.Path, optional
        ImageNet weights of EfficientNet-Lite0. Default: random weights.

    Returns
    -------
    keras.Model
        With averaged weights, and batch statistics taken for them.
    """
    keras.utils.set_random_seed(budget.seed)
    network = build_network("light")
    finished = folder / "network.weights.h5"
    if finished.exists():
        network.load_weights(finished)
        return network
    folder.mkdir(parents=True, exist_ok=True)
    if initial is not None:
        start(network, sources, budget, initial)
    fitted = at_side(network, budget.side)
    compile_fit(fitted, budget)
    state = folder / "state.npz"
    step = _restore(fitted, state) if state.exists() else 0
    saved, losses = time.monotonic(), deque[float](maxlen=200)
    for images, targets in batches_of(sources, budget, step):
        fitted.optimizer.learning_rate = budget.rate(step)
        losses.append(float(fitted.train_on_batch(images, targets)))
        step += 1
        if not math.isfinite(losses[-1]):
            message = f"the loss of step {step} is no number"
            raise FloatingPointError(message)
        if time.monotonic() - saved > budget.save_every or step == budget.steps:
            saved = time.monotonic()
            _save(fitted, state, step)
            _note(folder, step, float(np.mean(losses)))
    fitted.optimizer.finalize_variable_values(fitted.trainable_variables)
    take_statistics(fitted, some_images(sources, budget, _LAST_STATISTICS))
    network.save_weights(finished)
    return network


def compile_fit(network: keras.Model, budget: Budget) -> None:
    """Set the optimizer and the loss."""
    optimizer = keras.optimizers.AdamW(
        budget.learning_rate, weight_decay=0.01, clipnorm=1.0, use_ema=True, ema_momentum=budget.weight_average
    )
    network.compile(optimizer, loss="binary_crossentropy")
    optimizer.build(network.trainable_variables)


def start(network: keras.Model, sources: tuple[Source, ...], budget: Budget, initial: Path) -> None:
    """Start from ImageNet weights with the statistics of these fields, and fix the first groups."""
    backbone = network.get_layer("backbone")
    start_from_imagenet(backbone, initial)
    take_statistics(at_side(network, budget.side), some_images(sources, budget, _FIRST_STATISTICS))
    for layer in fixed_layers(backbone):
        layer.trainable = False


def at_side(network: keras.Model, side: int) -> keras.Model:
    """Give the network for smaller images: the same layers and weights, whose pooling takes the mean of any places."""
    image = keras.Input((side, side, LIGHT_COLOURS), name="image")
    x = image
    for layer in network.layers[1:]:
        x = layer(x)
    return keras.Model(image, x, name=network.name)


def some_images(sources: tuple[Source, ...], budget: Budget, count: int) -> Image:
    """Draw images to take batch statistics from."""
    drawn = (draw_view(sources, budget.side, np.random.default_rng([budget.seed, 1, row])) for row in range(count))
    return np.stack([image for image, _ in drawn])


def batches_of(sources: tuple[Source, ...], budget: Budget, first: int) -> Iterator[tuple[Image, Targets]]:
    """Draw the batches from a step on, some ahead of time."""

    def draw(step: int) -> tuple[Image, Targets]:
        rng = np.random.default_rng([budget.seed, 0, step])
        views = [draw_view(sources, budget.side, rng) for _ in range(budget.batch_size)]
        return np.stack([image for image, _ in views]), np.stack([targets for _, targets in views])

    with ThreadPoolExecutor(2) as pool:
        waiting = deque(pool.submit(draw, step) for step in range(first, min(first + _AHEAD, budget.steps)))
        for step in range(first, budget.steps):
            batch = waiting.popleft().result()
            if step + _AHEAD < budget.steps:
                waiting.append(pool.submit(draw, step + _AHEAD))
            yield batch


def _variables(network: keras.Model) -> list[keras.Variable]:
    return [*network.variables, *network.optimizer.variables]


def _save(network: keras.Model, state: Path, step: int) -> None:
    arrays = {str(number): keras.ops.convert_to_numpy(one) for number, one in enumerate(_variables(network))}
    with atomic_write(state) as partial, partial.open("wb") as stream:
        np.savez(stream, step=step, **arrays)


def _restore(network: keras.Model, state: Path) -> int:
    with np.load(state) as arrays:
        for number, variable in enumerate(_variables(network)):
            variable.assign(arrays[str(number)])
        return int(arrays["step"])


def _note(folder: Path, step: int, loss: float) -> None:
    line = {"step": step, "loss": round(loss, 4), "time": round(time.time())}
    with (folder / "history.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
    click.echo(f"{folder.name}: step {step}, loss {loss:.4f}", err=True)
