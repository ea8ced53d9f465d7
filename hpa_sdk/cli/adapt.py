"""``hpa adapt``: adapts a model file to the reviewed fields of one lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hpa_sdk.cli.parameters import ModelPath, card_option, device_option, white_option
from hpa_sdk.cli.reading_options import reading_options, rules_from, white_for
from hpa_sdk.errors import SettingError, count_of
from hpa_sdk.models.card_file import as_card
from hpa_sdk.preprocessing import White


@click.command()
@click.argument("model", type=ModelPath())
@click.argument("reviewed", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="ONNX file to write; a new one.")
@click.option(
    "--new-class",
    "new_classes",
    multiple=True,
    metavar="NAME",
    help="A class that MODEL does not have; can be given again. In Target, its number follows those of MODEL.",
)
@click.option("--scheme", help="Name of the label scheme with the new classes. Default: that of MODEL with -own.")
@click.option("--name", help="Name of the new model. Default: that of MODEL with 'adapted'.")
@click.option("--force", is_flag=True, help="Write the best change in any case; its card says so.")
@click.option(
    "--single-cells",
    is_flag=True,
    help="Each picture is of one cell: cut out as the card says, or alone in its field if MODEL answers for fields.",
)
@card_option
@device_option
@white_option
@reading_options
def adapt(
    model: Path,
    reviewed: Path,
    output: Path,
    new_classes: tuple[str, ...],
    scheme: str | None,
    name: str | None,
    force: bool,
    single_cells: bool,
    card: Path | None,
    device: str,
    white: White | None,
    **reading: Any,
) -> None:
    """Adapt MODEL to the fields in REVIEWED: a folder with train.csv (Id, Target) and the planes beside it.

    Thresholds, temperature and the last layer are learned from the fields. What is better than MODEL in nested
    cross-validation, by more than chance, is written. If nothing is better, no file is written.
    """
    adaptation = _library()
    rules = rules_from(**reading)
    white = white_for(white, rules)
    done = adaptation.adapt(
        model,
        reviewed,
        output,
        card=as_card(card),
        device=device,
        white=white,
        rules=rules,
        new_classes=new_classes,
        scheme=scheme,
        name=name,
        force=force,
        single_cells=single_cells,
    )
    if done.not_refitted:
        click.echo(done.not_refitted, err=True)
    made = done.card.adaptation
    if made is not None:
        click.echo(f"{output}: {done.card.name}, from {count_of(made.fields, 'field')} of {made.data}", err=True)
        for change in made.changes:
            click.echo(f"changed: {change}", err=True)
        for figure in made.figures:
            difference = f"{figure.after - figure.before:+.3f}, 95 % {figure.low:+.3f} to {figure.high:+.3f}"
            click.echo(
                f"{figure.figure}: {figure.before:.3f} before, {figure.after:.3f} after ({difference})", err=True
            )
        if made.forced:
            click.echo("Written because of --force: not all of it is better by more than chance.", err=True)
    for reason in done.left_out:
        click.echo(f"not used: {reason}", err=True)
    if done.left_out:
        click.get_current_context().exit(1)


def _library() -> Any:
    try:
        from hpa_sdk.adapt import adapt as adaptation  # noqa: PLC0415 - its libraries are an extra
    except ModuleNotFoundError as error:
        raise SettingError(
            f"the package {error.name} is missing", remedy="Install it: pip install 'hpa-sdk[adapt]'."
        ) from error
    return adaptation
