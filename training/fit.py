"""Fits a network by a recipe and leaves a run folder."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from hpa_sdk.model_card import ModelCard, Training
from training.batches import FieldBatches, Images, read_images
from training.dataset import Dataset, Targets, read_dataset
from training.errors import RunError
from training.metrics import batch_f1, judge
from training.networks import NetworkName, build_network
from training.recipe import Recipe, Stage
from training.run import Run, code_revision, versions
from training.split import study_split

InitialWeights = Literal["imagenet", "none"] | Path


def fit(
    data: Path, out: Path, *, network: NetworkName, recipe: Recipe, weights: InitialWeights, seed: int = 0
) -> ModelCard:
    """Fit a network on a data set.

    After each epoch the network is judged on the same validation fields. At the end of the last stage the weights with
    the lowest validation loss of that stage are kept, as in the study.

    Parameters
    ----------
    data : pathlib.Path
        A folder or table as `read_dataset` takes it.
    out : pathlib.Path
        The run folder to make.
    network : str
        ``"inception_resnet_v2"`` or ``"vgg16"``.
    recipe : Recipe
        Stages, steps and sizes, adjusted to the network.
    weights : "imagenet", "none" or pathlib.Path
        Start of the backbone.
    seed : int
        Draws fields, views, initial weights and dropout.

    Returns
    -------
    ModelCard
        What the run folder says of the network.

    Raises
    ------
    TableError, PlaneError, WeightsError, RunError
        The data, the weights or the run folder can't be used.
    """
    dataset = read_dataset(data)
    keras.utils.set_random_seed(seed)
    model = build_network(network, weights=None if weights == "none" else weights)
    run = Run(out)
    run.record(recipe=recipe, data=data, seed=seed)
    training, validation = study_split(len(dataset.samples))
    judged = np.random.default_rng([seed, recipe.validation_fields]).choice(validation, recipe.validation_fields)
    validation_images = read_images(dataset.pick(judged)), dataset.targets[judged]
    epochs_before = 0
    for number, stage in enumerate(recipe.stages):
        batches = FieldBatches(
            dataset.pick(training),
            dataset.targets[training],
            batch_size=recipe.batch_size,
            steps=recipe.steps_per_epoch,
            augmentation=stage.augmentation,
            seed=seed + number,
        )
        best = _fit_stage(model, stage, batches, validation_images, run.folder, epochs_before=epochs_before)
        epochs_before += stage.epochs
    # A network of its own, since Keras saves a compiled one with its optimizer: three times the size.
    fitted = build_network(network)
    fitted.load_weights(best)
    card = _card(fitted, dataset, recipe, weights=weights, seed=seed)
    probabilities = fitted.predict(validation_images[0], batch_size=recipe.batch_size, verbose=0)
    judged_on = f"{dataset.name}, {recipe.validation_fields} draws from the study split's validation part"
    metrics = judge(dataset.targets[judged], probabilities, thresholds=card.thresholds, data=judged_on)
    card = replace(card, metrics=metrics)
    run.finish(fitted, card)
    best.unlink()
    return card


def _fit_stage(
    model: keras.Model,
    stage: Stage,
    batches: FieldBatches,
    validation: tuple[Images, Targets],
    folder: Path,
    *,
    epochs_before: int,
) -> Path:
    """Fit one stage and give the file of its weights with the lowest validation loss."""
    model.get_layer("backbone").trainable = stage.backbone == "trained"
    model.compile(
        optimizer=keras.optimizers.Adam(stage.learning_rate),
        loss="binary_crossentropy",
        metrics=["binary_accuracy", batch_f1],
    )
    best = folder / "best.weights.h5"
    best.unlink(missing_ok=True)
    model.fit(
        batches,
        initial_epoch=epochs_before,
        epochs=epochs_before + stage.epochs,
        validation_data=validation,
        validation_batch_size=batches.batch_size,
        verbose=1 if sys.stderr.isatty() else 2,
        callbacks=[
            keras.callbacks.ModelCheckpoint(best, save_best_only=True, save_weights_only=True),
            keras.callbacks.CSVLogger(folder / "history.csv", append=epochs_before > 0),
        ],
    )
    if not best.exists():
        raise RunError(
            "the validation loss never was a number",
            where=folder,
            remedy="Look at history.csv; a lower learning rate in the recipe is the usual cure.",
        )
    return best


def _card(model: keras.Model, dataset: Dataset, recipe: Recipe, *, weights: InitialWeights, seed: int) -> ModelCard:
    steps = recipe.steps_per_epoch * sum(stage.epochs for stage in recipe.stages)
    return ModelCard(
        name=f"{model.name} on {dataset.name}",
        architecture=model.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        training=Training(
            recipe=recipe.name,
            backend=keras.backend.backend(),
            versions=versions(),
            seed=seed,
            steps=steps,
            fields_seen=steps * recipe.batch_size,
            initial_weights=weights.name if isinstance(weights, Path) else weights,
            data=dataset.name,
            data_fingerprint=dataset.fingerprint,
            code_revision=code_revision(),
        ),
    )
