"""Runs ``python -m training fit`` on a small network with the layers of the real ones, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import numpy.typing as npt
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hpa_sdk.prediction import Probabilities
from training.__main__ import main
from training.data.dataset import read_dataset
from training.data.prepared import DecodedImages

ROOT = Path(__file__).parents[2]

BACKENDS = [backend for backend in ("jax", "tensorflow") if find_spec(backend)]
"""The Keras backends that are installed, of those that a fit is tested on."""


def build_small_network(name: str, *, weights: object = None) -> keras.Model:
    """Build a network of 30,000 weights; its backbone has a batch normalization, as Inception-ResNet-V2 has many."""
    del weights
    backbone = keras.Sequential(
        [
            keras.Input((299, 299, 3)),
            layers.AveragePooling2D(13),
            layers.Conv2D(4, 5, strides=3),
            layers.BatchNormalization(),
            layers.ReLU(),
        ],
        name="backbone",
    )
    image = keras.Input((299, 299, 3), name="image")
    x = backbone(layers.BatchNormalization(name="input_normalization")(image))
    x = layers.Flatten(name="flatten")(layers.Conv2D(2, 1, activation="relu", name="extra_convolution")(x))
    x = layers.Dropout(0.5, name="dropout_before_embedding")(x)
    x = layers.Dense(512, activation="relu", name="embedding")(x)
    x = layers.Dropout(0.5, name="dropout_after_embedding")(x)
    x = layers.Dense(28, activation="sigmoid", dtype="float32", name="probabilities")(x)
    return keras.Model(image, x, name=name)


def build_plain_network(name: str, *, weights: object = None) -> keras.Model:
    """Build one in which no field's answer depends on the others of its batch, nor on chance."""
    del weights
    backbone = keras.Sequential(
        [keras.Input((299, 299, 3)), layers.AveragePooling2D(13), layers.Conv2D(4, 5, strides=3, activation="relu")],
        name="backbone",
    )
    image = keras.Input((299, 299, 3), name="image")
    x = layers.Dense(512, activation="relu", name="embedding")(layers.Flatten(name="flatten")(backbone(image)))
    return keras.Model(image, layers.Dense(28, activation="sigmoid", name="probabilities")(x), name=name)


def start(*fits: Sequence[object], **environment: str) -> subprocess.Popen[str]:
    """Start such fits, one after the other; the answers of each network are kept beside its run."""
    encoded = json.dumps([[str(argument) for argument in arguments] for arguments in fits])
    command = [sys.executable, "-m", "tests.training.small_fit", encoded]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait until such fits have come to their end."""
    output, _ = process.communicate()
    assert process.returncode == 0, output


def answers_of(run: Path, data: Path) -> Probabilities:
    """Ask the network that a fit kept about the first fields of a data set."""
    network = keras.saving.load_model(run / "network.keras")
    answers: Probabilities = network.predict(DecodedImages(read_dataset(data).samples)[np.arange(8)], verbose=0)
    return answers


def read_history(run: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Read what Keras measured in each epoch."""
    rows = np.genfromtxt(run / "history.csv", delimiter=",", names=True)
    return {name: np.atleast_1d(rows[name]) for name in rows.dtype.names or ()}


def read_events(folder: Path) -> dict[str, dict[int, float]]:
    """Read a folder of events as TensorBoard does: name, epoch, value; each epoch is there once."""
    events = EventAccumulator(str(folder))
    events.Reload()
    points = {name: [(point.step, point.value) for point in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert all(len(dict(shown)) == len(shown) for shown in points.values())
    return {name: dict(shown) for name, shown in points.items()}


def assert_events_are_the_history(run: Path) -> None:
    """Check that TensorBoard shows each epoch of a run, in training and in validation."""
    history = read_history(run)
    epochs = history.pop("epoch")
    del history["stage"]
    for part, prefix in (("training", ""), ("validation", "val_")):
        shown = read_events(run / "tensorboard" / part)
        names = {name.removeprefix("val_"): name for name in history if name.startswith("val_") == bool(prefix)}
        assert set(shown) == set(names)
        for tag, name in names.items():
            assert list(shown[tag]) == epochs.tolist()
            np.testing.assert_allclose(list(shown[tag].values()), history[name], rtol=1e-5)


def weights_of(run: Path) -> list[np.ndarray[Any, Any]]:
    """Read the weights that a fit kept."""
    weights: list[np.ndarray[Any, Any]] = keras.saving.load_model(run / "network.keras").get_weights()
    return weights


def share_the_cpu(devices: int) -> None:
    """Make TensorFlow see several devices, of which MirroredStrategy then takes all."""
    import tensorflow as tf  # noqa: PLC0415 - not needed under other backends

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    names = [device.name for device in tf.config.list_logical_devices("CPU")]
    mirrored = tf.distribute.MirroredStrategy
    tf.distribute.MirroredStrategy = lambda: mirrored(names)


if __name__ == "__main__":
    if "HPA_TEST_LOGICAL_DEVICES" in os.environ:
        share_the_cpu(int(os.environ["HPA_TEST_LOGICAL_DEVICES"]))
    build = build_plain_network if "HPA_TEST_PLAIN_NETWORK" in os.environ else build_small_network
    for arguments in json.loads(sys.argv[1]):
        with patch("training.fit.fit.build_network", build):
            main(["fit", *arguments], prog_name="fit", standalone_mode=False)
        run = Path(arguments[arguments.index("--out") + 1])
        np.save(run.with_suffix(".npy"), answers_of(run, Path(arguments[0])))
