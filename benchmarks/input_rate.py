"""Measures whether reading prepared images keeps up with the networks: the step rate with it and without.

    python benchmarks/input_rate.py --steps 50

Without it means one batch over and over, which costs nothing to read. Both are measured in turn on the same compiled
network, and the medians are printed with their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import keras

from training.batches import FieldBatches
from training.dataset import Dataset, Targets, read_dataset
from training.networks import NETWORK_NAMES, NetworkName, build_network
from training.prepared import DecodedImages, Images, ImageSource, prepare
from training.simulation import simulate


def main() -> None:
    """Run the measurement for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50, help="steps of each run")
    parser.add_argument("--pairs", type=int, default=3, help="how often each pair is measured")
    parser.add_argument("--batch-size", type=int, default=10)
    parser.add_argument("--network", choices=NETWORK_NAMES, action="append", help="default: both")
    parser.add_argument("--backbone", choices=("frozen", "trained"), default="trained")
    parser.add_argument("--fields", type=int, default=64, help="simulated fields of 512 x 512 to draw from")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        simulate(Path(folder), count=options.fields, seed=1, workers=1)
        dataset = read_dataset(Path(folder))
        prepared = prepare(dataset, Path(folder) / ".prepared")
        for name in options.network or NETWORK_NAMES:
            measure(
                name,
                dataset,
                prepared,
                backbone_trained=options.backbone == "trained",
                batch_size=options.batch_size,
                steps=options.steps,
                pairs=options.pairs,
            )


def measure(
    name: NetworkName,
    dataset: Dataset,
    prepared: ImageSource,
    *,
    backbone_trained: bool,
    batch_size: int,
    steps: int,
    pairs: int,
) -> None:
    """Print the step rates of one network."""
    network = build_network(name)
    network.get_layer("backbone").trainable = backbone_trained
    network.compile(optimizer="adam", loss="binary_crossentropy")
    sources: dict[str, ImageSource] = {"prepared images": prepared, "decoded each time": DecodedImages(dataset.samples)}
    forms: dict[str, keras.utils.PyDataset] = {
        form: FieldBatches(source, dataset.targets, batch_size=batch_size, steps=steps, augmentation="study", seed=0)
        for form, source in sources.items()
    }
    forms = {"one repeated batch": RepeatedBatch(forms["prepared images"][0], steps=steps)} | forms
    rates: dict[str, list[float]] = {form: [] for form in forms}
    # Not measured: the first steps of a network, in which it is traced and its memory allocated.
    fields_a_second(network, RepeatedBatch(forms["prepared images"][0], steps=2), batch_size)
    for _ in range(pairs):
        for form, batches in forms.items():
            rates[form].append(fields_a_second(network, batches, batch_size))
    click.echo(f"{name}, backbone {'trained' if backbone_trained else 'frozen'}, batches of {batch_size}:")
    bare = rates["one repeated batch"]
    for form, found in rates.items():
        ratio = statistics.median(rate / other for rate, other in zip(found, bare, strict=True))
        rate = statistics.median(found)
        click.echo(f"  {form:20}{rate:8.1f} fields/s {rate / batch_size:7.2f} steps/s  ratio {ratio:.3f}")


class RepeatedBatch(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """One batch over and over, at no cost."""

    def __init__(self, batch: tuple[Images, Targets], *, steps: int) -> None:
        super().__init__()
        self._batch = batch
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[Images, Targets]:
        return self._batch


class StepTimes(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Notes when each step ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Note the time; Keras has fetched the loss by now, so the device has done the step."""
        self.ends.append(time.perf_counter())


def fields_a_second(network: keras.Model, batches: keras.utils.PyDataset, batch_size: int) -> float:
    """Fit for one epoch and give its rate, from the end of the first step on."""
    times = StepTimes()
    network.fit(batches, epochs=1, shuffle=False, verbose=0, callbacks=[times])
    return (len(times.ends) - 1) * batch_size / (times.ends[-1] - times.ends[0])


if __name__ == "__main__":
    main()
