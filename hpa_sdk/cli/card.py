"""``hpa card``: describes a network from elsewhere, so that this package can run it."""

from __future__ import annotations

from pathlib import Path

import click

from hpa_sdk.cli.model_text import model_text
from hpa_sdk.cli.parameters import ModelPath
from hpa_sdk.errors import SettingError
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.card_file import card_template, read_card_file
from hpa_sdk.models.contract import read_model
from hpa_sdk.models.onnx_file import read_onnx

_FILE = click.Path(path_type=Path)


@click.group()
def card() -> None:
    """Write or check the model card of an ONNX file from elsewhere."""


@card.command()
@click.argument("model", type=ModelPath())
@click.option("-o", "--output", type=_FILE, default=Path("card.toml"), show_default=True, help="TOML file to write.")
def init(model: Path, output: Path) -> None:
    """Write a card for MODEL, as far as its file shows what belongs into it, never over an existing file.

    Keys that only a person knows are empty, with a comment. Complete them, then run 'hpa card check'.
    """
    template = card_template(read_onnx(model))
    if output.exists():
        raise SettingError("something lies here already", where=output, remedy="Name another file with -o.")
    with atomic_write(output) as partial:
        partial.write_text(template, encoding="utf-8", newline="\n")
    click.echo(f"{output}: complete it, then run 'hpa card check {model} {output}'.", err=True)


@card.command()
@click.argument("model", type=ModelPath())
@click.argument("card_file", metavar="CARD", type=_FILE)
def check(model: Path, card_file: Path) -> None:
    """Check that CARD is complete and fits MODEL, and print it.

    The exit code is 0, or 2 where the card can't be used.
    """
    file, described = read_model(model, read_card_file(card_file))
    click.echo(model_text(file, described, intact=None, matches=None))
