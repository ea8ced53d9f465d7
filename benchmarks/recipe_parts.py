"""Measures the effect of each part of `strong`, with a small network that a CPU can fit for long enough.

    python -m benchmarks.recipe_parts DATA HELD_OUT --presentations 24000 -o recipe_parts.json

The recipes `study` and `strong`, and `strong` with one part changed at a time, each fit the same network of 13
layers, at half the networks' resolution or less, with the same number of fields seen. Its learning rates are a multiple
of the recipes', which are for large networks. It shows which part helps and which does not, not how good the real
networks become. The figures of a class with one to three held-out fields are chance, so the figures without these
classes are printed too. Each fit is judged on one view of a field and, as for `strong`, on the mean of all eight.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import keras
import numpy as np
from keras import layers

from benchmarks.figures import write_figures
from hpa_sdk.models.contract import image_shape
from hpa_sdk.prediction import Probabilities
from hpa_sdk.preprocessing import Preprocessing
from training.data.augmentation import VIEWS
from training.data.batches import FieldBatches
from training.data.dataset import Targets, read_dataset
from training.data.prepared import Images, Rows, prepare, prepared_folder
from training.data.sampling import draw_probabilities
from training.data.split import split
from training.fit.batch_statistics import RecomputeStatistics
from training.fit.recipe import Recipe, Stage, read_recipe
from training.fit.stage import compile_stage
from training.judge.evaluation import judge_fields
from training.judge.predictions import predict_images
from training.judge.thresholds import tune_thresholds

_JUDGEMENTS = 10
_STATISTICS_FIELDS = 256
_AT_ONCE = 50
_OFTEN = 10
"""Smallest number of held-out fields of a class for figures that are more than chance."""


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="labelled fields to fit on")
    parser.add_argument("held_out", type=Path, help="labelled fields to judge by")
    parser.add_argument("--fields", type=int, help="fit on the first so many fields, to see each of them more often")
    parser.add_argument("--presentations", type=int, default=24_000, help="fields seen by each fit")
    parser.add_argument("--shrink", type=int, default=2, help="how many times smaller an image is, each way")
    parser.add_argument("--rates", type=float, default=5, help="learning rates, as a multiple of the recipes'")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", help="names of some recipes")
    parser.add_argument("-o", "--out", type=Path, help="JSON to write")
    options = parser.parse_args()
    variants = _variants(options.presentations, options.rates)
    unknown = set(options.only or variants) - set(variants)
    if unknown:
        parser.error(f"--only: no recipe is called {', '.join(sorted(unknown))}; there are {', '.join(variants)}")
    data = _ShrunkFields(options.data, options.shrink, options.fields)
    held_out = _ShrunkFields(options.held_out, options.shrink)
    found = []
    for name, recipe in variants.items():
        for seed in options.seeds if name in (options.only or [name]) else []:
            network = _fit(recipe, data, seed)
            for views in (1, VIEWS):
                found.append({"recipe": name, "seed": seed, "views": views, **_judge(network, data, held_out, views)})
                _print(found[-1])
            if options.out:
                write_figures(
                    options.out,
                    {
                        "fields_seen": options.presentations,
                        "side": data.side,
                        "rates": options.rates,
                        "fields": len(data),
                        "fits": found,
                    },
                )


def _print(row: Mapping[str, Any]) -> None:
    common = row["common"]
    click.echo(
        f"{row['recipe']:<24} seed {row['seed']}  views {row['views']}  macro F1 {row['f1']:.3f}"
        f"  average precision {row['average_precision']:.3f}; of {common['classes']} classes with {_OFTEN} fields"
        f" or more {common['f1']:.3f} and {common['average_precision']:.3f}"
    )


class _ShrunkFields:
    """The fields of a data set at reduced resolution, in memory."""

    def __init__(self, folder: Path, shrink: int, fields: int | None = None) -> None:
        dataset = read_dataset(folder)
        whole = prepare(dataset, prepared_folder(folder))
        self.name = dataset.name
        self.targets: Targets = dataset.targets[:fields]
        self.side = image_shape(Preprocessing())[0] // shrink
        count, side = len(self.targets), self.side
        self.images: Images = np.empty((count, side, side, 3), np.float32)
        for start in range(0, count, _AT_ONCE):
            rows = np.arange(start, min(start + _AT_ONCE, count))
            even = whole[rows][:, : shrink * side, : shrink * side]
            self.images[rows] = even.reshape(len(rows), side, shrink, side, shrink, 3).mean(axis=(2, 4))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Rows) -> Images:
        images: Images = self.images[rows]
        return images


def _variants(presentations: int, rates: float) -> dict[str, Recipe]:
    """Return the recipes, with one stage each, all of the same length."""
    study, strong = (_shortened(read_recipe(name), presentations, rates) for name in ("study", "strong"))
    return {
        "study": study,
        "strong": strong,
        "asymmetric loss": replace(strong, loss="asymmetric"),
        "even sampling": replace(strong, sampling="even"),
        "the study's five views": _with_stage(strong, augmentation="study"),
        "constant learning rate": _with_stage(strong, schedule="constant"),
        "weights not averaged": replace(strong, weight_average=0.0),
    }


def _shortened(recipe: Recipe, presentations: int, rates: float) -> Recipe:
    steps = presentations // recipe.batch_size
    momentum = 1 - (1 - recipe.weight_average) * recipe.steps / steps
    short = replace(
        recipe.adjusted("vgg16", epochs=_JUDGEMENTS, steps_per_epoch=steps // _JUDGEMENTS, precision="float32"),
        weight_average=max(0.0, momentum) if recipe.weight_average else 0.0,
    )
    return _with_stage(short, learning_rate=rates * short.stages[-1].learning_rate)


def _with_stage(recipe: Recipe, **changes: Any) -> Recipe:  # noqa: ANN401 - values of any attribute
    return replace(recipe, stages=(replace(recipe.stages[-1], **changes),))


def _fit(recipe: Recipe, data: _ShrunkFields, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    training, validation = split(data.targets, "stratified")
    network = _build_network(data.side)
    (stage,) = recipe.stages
    compile_stage(network, recipe, stage)
    batches = _batches(recipe, stage, data, training, seed)
    with TemporaryDirectory() as work:
        best = Path(work) / "best.weights.h5"
        network.fit(
            batches,
            epochs=stage.epochs,
            validation_data=(data[validation], data.targets[validation]),
            verbose=2,
            callbacks=[
                keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: batches.begin_epoch(epoch)),
                *([keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if recipe.weight_average else []),
                RecomputeStatistics(data[training[:_STATISTICS_FIELDS]]),
                keras.callbacks.ModelCheckpoint(best, save_best_only=True, save_weights_only=True),
            ],
        )
        network.load_weights(best)
    return network


def _judge(network: keras.Model, data: _ShrunkFields, held_out: _ShrunkFields, views: int) -> dict[str, Any]:
    """Judge with thresholds tuned on the validation part."""

    def predict(images: Images) -> Probabilities:
        return predict_images(network, range(len(images)), images.__getitem__, views=views).probabilities

    _, validation = split(data.targets, "stratified")
    thresholds = tune_thresholds(data.targets[validation], predict(data[validation]))
    evaluation = judge_fields(held_out.targets, predict(held_out.images), thresholds=thresholds, data=held_out.name)
    often = [one for one in evaluation.classes if one.support >= _OFTEN]
    common = {
        "classes": len(often),
        "f1": float(np.mean([one.f1 for one in often])),
        "average_precision": float(np.mean([one.average_precision for one in often])),
    }
    return {**asdict(evaluation.macro), "common": common}


def _batches(recipe: Recipe, stage: Stage, data: _ShrunkFields, training: Rows, seed: int) -> FieldBatches:
    probabilities = np.zeros(len(data))
    probabilities[training] = draw_probabilities(data.targets[training], recipe.sampling)
    return FieldBatches(
        data,
        data.targets,
        batch_size=recipe.batch_size,
        steps=recipe.steps_per_epoch,
        augmentation=stage.augmentation,
        seed=seed,
        probabilities=probabilities,
    )


def _build_network(side: int) -> keras.Model:
    image = x = keras.Input((side, side, 3))
    for channels in (16, 32, 64, 128):
        x = shortcut = _convolution(x, channels, strides=2)
        x = layers.BatchNormalization()(
            layers.Conv2D(channels, 3, padding="same", use_bias=False)(_convolution(x, channels))
        )
        x = layers.ReLU()(layers.Add()([x, shortcut]))
    backbone = keras.Model(image, layers.GlobalAveragePooling2D()(x), name="backbone")
    fields = keras.Input((side, side, 3))
    x = layers.Dropout(0.3)(backbone(fields))
    return keras.Model(fields, layers.Dense(28, activation="sigmoid")(x))


def _convolution(x: Any, channels: int, strides: int = 1) -> Any:  # noqa: ANN401 - Keras' tensors
    x = layers.Conv2D(channels, 3, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


if __name__ == "__main__":
    main()
