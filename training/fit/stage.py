"""Prepares a network for one stage of a recipe."""

from __future__ import annotations

from typing import Any

import keras

from training.fit.losses import LOSSES
from training.fit.recipe import Recipe, Stage
from training.judge.metrics import batch_f1

_WARMUP_SHARE = 0.05


def compile_stage(network: keras.Model, recipe: Recipe, stage: Stage) -> None:
    """Freeze or unfreeze the backbone, and set a new optimizer, the recipe's loss and the study's metrics.

    The study's validation loss jumped between 0.16 and 1604 in its frozen stage while its training loss fell. The
    cause: the batch normalizations of the frozen backbone used the statistics of each batch in training, but their
    pretrained statistics in validation, so the new layers were trained on other numbers than they were judged on.
    Under Keras 3 a frozen batch normalization uses its pretrained statistics in both, and the loss stays small
    (tests/training/test_stage.py shows both).

    Parameters
    ----------
    network : keras.Model
        As `training.networks.build_network` makes it; changed in place.
    recipe : Recipe
        Gives loss, steps and weight average.
    stage : Stage
        Gives backbone and learning rate.
    """
    network.get_layer("backbone").trainable = stage.backbone == "trained"
    network.compile(
        optimizer=keras.optimizers.Adam(
            _learning_rate(recipe, stage),
            use_ema=recipe.weight_average > 0,
            ema_momentum=recipe.weight_average or 0.99,
        ),
        loss=LOSSES[recipe.loss],
        metrics=["binary_accuracy", batch_f1],
    )


def _learning_rate(recipe: Recipe, stage: Stage) -> Any:  # noqa: ANN401 - a number or a Keras schedule
    if stage.schedule == "constant":
        return stage.learning_rate
    steps = recipe.steps_per_epoch * stage.epochs
    warmup_steps = max(1, round(_WARMUP_SHARE * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup_steps), warmup_target=stage.learning_rate, warmup_steps=warmup_steps
    )
