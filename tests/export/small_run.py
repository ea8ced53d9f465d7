"""Makes a finished run of a small network with what the real ones have: a scaled residual, a flattening, two ends."""

from __future__ import annotations

import json
from pathlib import Path

import keras
from keras import layers
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

from tests.small import CARD

SCALE = 0.17
SCALED = "convolution_before_scale"


def build_small_network() -> keras.Model:
    """Build a network of the contract with 20,000 weights."""
    keras.utils.set_random_seed(4)
    image = keras.Input((299, 299, 3), name="image")
    x = layers.BatchNormalization(name="input_normalization")(layers.AveragePooling2D(23)(image))
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    residual = layers.Conv2D(8, 1, name=SCALED)(layers.Conv2D(4, 1, activation="relu")(x))
    x = layers.ReLU()(CustomScaleLayer(SCALE)([x, residual]))
    x = layers.Dropout(0.5)(layers.Flatten(name="flatten")(x))
    x = layers.Dense(512, activation="relu", name="embedding")(x)
    x = layers.Dense(28, activation="sigmoid", name="probabilities", bias_initializer="random_normal")(x)
    network = keras.Model(image, x, name="small")
    rng = keras.random.SeedGenerator(5)
    for weights in network.get_layer("input_normalization").weights:
        weights.assign(keras.random.uniform(weights.shape, 0.5, 1.5, seed=rng))
    return network


def write_small_run(folder: Path, data: Path) -> Path:
    """Write a finished run of the small network, fitted on `data` as its record says."""
    folder.mkdir(parents=True)
    build_small_network().save(folder / "network.keras")
    (folder / "card.json").write_text(CARD.to_json(), encoding="utf-8")
    (folder / "run.json").write_text(json.dumps({"data": [str(data)]}), encoding="utf-8")
    return folder
