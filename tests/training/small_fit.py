"""Runs ``python -m training fit`` on a small network with the layers of the real ones, in a process of its own.

python -m tests.training.small_fit DATA --network vgg16 --out RUN ...
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
from keras import layers

from training.__main__ import main

ROOT = Path(__file__).parents[2]


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


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start such a fit."""
    command = [sys.executable, "-m", "tests.training.small_fit", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(*arguments: object, **environment: str) -> str:
    """Run such a fit to its end."""
    process = start(*arguments, **environment)
    told, _ = process.communicate()
    assert process.returncode == 0, told
    return told


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
    with patch("training.fit.build_network", build_small_network):
        main(["fit", *sys.argv[1:]], prog_name="fit")
