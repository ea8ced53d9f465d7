"""``python -m training fit``: one network, one recipe, one data set."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from training.fit import InitialWeights
from training.fit import fit as fit_network
from training.networks import NETWORK_NAMES, NetworkName
from training.recipe import read_recipe


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--network", type=click.Choice(NETWORK_NAMES), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run folder to make.")
@click.option("--recipe", default="study", show_default=True, help="A file in training/recipes, without .toml.")
@click.option("--weights", help="Start of the backbone: imagenet, none or a file. Default: the recipe's.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of each stage. Default: the recipe's.")
@click.option("--steps", type=click.IntRange(min=1), help="Steps an epoch. Default: the recipe's.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Fields a step. Default: the recipe's.")
@click.option("--validation-fields", type=click.IntRange(min=1), help="Fields to judge on. Default: the recipe's.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def fit(
    data: Path,
    network: NetworkName,
    out: Path,
    recipe: str,
    weights: str | None,
    epochs: int | None,
    steps: int | None,
    batch_size: int | None,
    validation_fields: int | None,
    seed: int,
) -> None:
    """Fit a network on DATA, a folder with train.csv and its planes."""
    adjusted = read_recipe(recipe).adjusted(
        network, epochs=epochs, steps_per_epoch=steps, batch_size=batch_size, validation_fields=validation_fields
    )
    card = fit_network(
        data,
        out,
        network=network,
        recipe=adjusted,
        weights=_initial_weights(weights or adjusted.initial_weights),
        seed=seed,
    )
    metrics = card.metrics
    if metrics is not None:
        click.echo(
            f"{out}: micro F1 {metrics.micro_f1:.4f}, macro F1 {metrics.macro_f1:.4f} on {metrics.fields} fields of"
            f" {metrics.data}",
            err=True,
        )


def _initial_weights(weights: str) -> InitialWeights:
    return cast("InitialWeights", weights) if weights in {"imagenet", "none"} else Path(weights)
