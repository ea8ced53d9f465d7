"""A frozen backbone gives the same answers in fitting and judging, with any initial statistics."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
from keras import layers, ops

from training.fit.recipe import read_recipe
from training.fit.stage import compile_stage

pytestmark = pytest.mark.slow

Draw = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


class BatchStatistics(layers.BatchNormalization):  # type: ignore[misc]  # Keras has no types
    """Normalizes by each batch while fitting even where it is frozen, as in the study."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training:
            return super().call(inputs, training=False, mask=mask)
        mean, variance = ops.moments(inputs, axes=(0, 1, 2))
        return (inputs - mean) / ops.sqrt(variance + self.epsilon)


def build(normalization: type[layers.BatchNormalization]) -> keras.Model:
    """Build a network whose backbone came with the statistics of other pictures, as ImageNet's are."""
    keras.utils.set_random_seed(0)
    backbone = keras.Sequential([keras.Input((16, 16, 3))], name="backbone")
    for _ in range(3):
        backbone.add(layers.Conv2D(8, 3, padding="same"))
        backbone.add(normalization(moving_variance_initializer=keras.initializers.Constant(0.02)))
        backbone.add(layers.ReLU())
    image = keras.Input((16, 16, 3))
    x = layers.Flatten()(backbone(layers.BatchNormalization()(image)))
    x = layers.Dense(512, activation="relu")(layers.Dropout(0.5)(x))
    return keras.Model(image, layers.Dense(28, activation="sigmoid")(layers.Dropout(0.5)(x)))


def draw(fields: int, rng: np.random.Generator) -> Draw:
    truth = (rng.random((fields, 28)) < 0.06).astype(np.float32)
    images = 0.3 * (rng.random((fields, 16, 16, 3)) + truth[:, None, None, :3])
    return images.astype(np.float32), truth


def losses_of_the_frozen_stage(normalization: type[layers.BatchNormalization]) -> dict[str, npt.NDArray[np.float64]]:
    network, rng = build(normalization), np.random.default_rng(0)
    recipe = read_recipe("study").adjusted("inception_resnet_v2")
    compile_stage(network, recipe, recipe.stages[0])
    validation = draw(100, rng)
    history = network.fit(*draw(400, rng), batch_size=10, epochs=4, validation_data=validation, verbose=0).history
    return {name: np.asarray(history[name]) for name in ("loss", "val_loss")}


def test_the_validation_loss_of_the_frozen_stage_never_jumps() -> None:
    losses = losses_of_the_frozen_stage(layers.BatchNormalization)["val_loss"]
    assert np.isfinite(losses).all()
    assert (losses < 1).all()


def test_batch_statistics_in_a_frozen_backbone_would_jump() -> None:
    losses = losses_of_the_frozen_stage(BatchStatistics)
    assert losses["loss"][-1] < 0.3
    assert (losses["val_loss"] > 1).all()
