"""Common options and messages of the commands that make variants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from export.fields import LEAST_FIELDS
from export.variants.variant import JUDGED_FIELDS
from hpa_sdk.cli.parameters import ModelPath, single_cells_option, white_option
from hpa_sdk.models.model_card import ModelCard


def variant_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments MODEL and DATA and the options of the file to write."""
    for decorate in (
        white_option,
        click.option("--force", is_flag=True, help="Write it even if it does not pass the gates; its card says so."),
        single_cells_option,
        click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="ONNX file to write."),
        click.argument("data", type=click.Path(path_type=Path)),
        click.argument("model", type=ModelPath()),
    ):
        command = decorate(command)
    return command


judge_fields_option = click.option(
    "--judge-fields",
    type=click.IntRange(min=LEAST_FIELDS),
    default=JUDGED_FIELDS,
    show_default=True,
    help="Most fields of DATA to compare on.",
)


def print_written_files(output: Path, card: ModelCard) -> None:
    """Print on stderr how far the variant is from its parent."""
    variant = card.variant
    if variant is None:
        return
    click.echo(
        f"{output}: the same label set as the fp32 model for {variant.same_label_sets:.2%} of {variant.fields} fields,"
        f" probabilities at most {variant.max_difference:.1e} away",
        err=True,
    )
    if variant.macro_f1 is not None:
        click.echo(f"macro F1 {variant.macro_f1:.4f}, of the fp32 model {variant.parent_macro_f1:.4f}", err=True)
    for name, value in variant.settings.items():
        click.echo(f"{name}: {value}", err=True)
    for shortfall in variant.shortfalls:
        click.echo(f"Written because of --force: {shortfall}", err=True)
