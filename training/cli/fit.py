"""``python -m training fit``: fits one network by one recipe on one data set."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

import click

from hpa_sdk.cli.parameters import white_option
from hpa_sdk.preprocessing import White
from training.data.prepared import prepared_folder
from training.data.split import SplitName
from training.fit.devices import Devices
from training.fit.fit import fit as fit_network
from training.fit.recipe import Precision, read_recipe
from training.fit.reference import REFERENCE_FIELDS
from training.fit.run_folder import InitialWeights, Plan
from training.network_forms import NETWORK_NAMES, NetworkName

SHARE = 0.3
"""Share of the old data in all drawn fields, if the user gives none."""


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
@click.option("--network", type=click.Choice(NETWORK_NAMES), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run folder to make.")
@click.option("--recipe", default="study", show_default=True, help="study, strong, fine_tune, or FILE.toml.")
@click.option(
    "--weights",
    help="Start of the backbone: imagenet, none or a file. Of the whole network: an exported .onnx file, or the"
    " network.keras of an earlier run. Default: the recipe's.",
)
@click.option(
    "--also",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="Old data, of which a share is drawn too, so that its classes are not forgotten; several times for several"
    " folders.",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help=f"Share of the old data in all drawn fields.  [default: {SHARE:g}]",
)
@click.option("--split", type=click.Choice(get_args(SplitName)), default="study", show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of each stage. Default: the recipe's.")
@click.option("--steps", type=click.IntRange(min=1), help="Steps an epoch. Default: the recipe's.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Fields a step. Default: the recipe's.")
@click.option("--validation-fields", type=click.IntRange(min=1), help="Fields to judge on. Default: the recipe's.")
@click.option(
    "--statistics-fields",
    type=click.IntRange(min=0),
    help="Training fields to take batch normalization's statistics from before each judgement; some hundreds serve a"
    " short fit. 0: running averages. Default: the recipe's.",
)
@click.option("--precision", type=click.Choice(get_args(Precision)), help="Default: the recipe's.")
@click.option(
    "--pixel-size",
    type=click.FloatRange(min=0, min_open=True),
    help="Micrometres a pixel of the planes, for microscopes of another scale; 0.32 for the Kaggle set.",
)
@white_option
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--devices", type=click.Choice(get_args(Devices)), default="one", show_default=True)
@click.option(
    "--prepared",
    type=click.Path(path_type=Path),
    help="Folder for preprocessed images, or 'none' to decode each plane anew. Default: .prepared beside the table.",
)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Epochs between checkpoints; a fit that is stopped loses at most so many.",
)
@click.option(
    "--reference-fields",
    type=click.IntRange(min=0),
    default=REFERENCE_FIELDS,
    show_default=True,
    help="Training fields that the card describes, so that predictions can warn of others; 0: none.",
)
@click.option("--resume", is_flag=True, help="Resume a fit that was stopped.")
def fit(
    data: tuple[Path, ...],
    network: NetworkName,
    out: Path,
    recipe: str,
    weights: str | None,
    also: tuple[Path, ...],
    share: float | None,
    split: SplitName,
    epochs: int | None,
    steps: int | None,
    batch_size: int | None,
    validation_fields: int | None,
    statistics_fields: int | None,
    precision: Precision | None,
    pixel_size: float | None,
    white: White | None,
    seed: int,
    devices: Devices,
    prepared: Path | None,
    checkpoint_every: int,
    reference_fields: int,
    resume: bool,
) -> None:
    """Fit a network on DATA: folders with train.csv and its planes."""
    if share is not None and not also:
        raise click.UsageError("--share is the share of the old data, which --also names.")
    adjusted = read_recipe(recipe).adjusted(
        network,
        epochs=epochs,
        steps_per_epoch=steps,
        batch_size=batch_size,
        validation_fields=validation_fields,
        statistics_fields=statistics_fields,
        precision=precision,
    )
    plan = Plan(
        network=network,
        recipe=adjusted,
        data=data,
        weights=_initial_weights(weights or adjusted.initial_weights),
        split=split,
        seed=seed,
        pixel_size=pixel_size,
        white=white,
        also=also,
        share=(share or SHARE) if also else None,
    )
    folder = None if prepared == Path("none") else prepared or prepared_folder(data[0])
    metrics = fit_network(
        plan,
        out,
        prepared=folder,
        resume=resume,
        devices=devices,
        checkpoint_every=checkpoint_every,
        reference_fields=reference_fields,
    ).metrics
    if metrics is not None:
        click.echo(
            f"{out}: micro F1 {metrics.micro_f1:.4f}, macro F1 {metrics.macro_f1:.4f} on {metrics.fields} fields of"
            f" {metrics.data}",
            err=True,
        )


def _initial_weights(weights: str) -> InitialWeights:
    return cast("InitialWeights", weights) if weights in {"imagenet", "none"} else Path(weights)
