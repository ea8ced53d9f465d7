"""``python -m export adopt``: puts a card into an ONNX file from elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from export import adopt as adoption


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--card", type=click.Path(path_type=Path), required=True, help="The card, a TOML file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="ONNX file to write.")
@click.option("--replace", is_flag=True, help="Replace the card that MODEL carries.")
def adopt(model: Path, card: Path, output: Path, replace: bool) -> None:
    """Put a card into MODEL, an ONNX file from elsewhere. Its operators and weights stay the same.

    'hpa card init' writes a card to complete.
    """
    written = adoption.adopt(model, card, output, replace=replace)
    click.echo(
        f"{output}: {written.name}, {written.computation}, {len(written.labels)} classes of {written.scheme}", err=True
    )
