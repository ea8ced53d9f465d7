"""``python -m export bioimageio``: packs one model file as a bioimage.io package."""

from __future__ import annotations

from pathlib import Path

import click

from export.bioimageio.description import spdx_licence
from export.bioimageio.package import export_bioimageio
from hpa_sdk.cli.parameters import ModelPath, white_option
from hpa_sdk.preprocessing import White


@click.command()
@click.argument("model", type=ModelPath())
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Zip file to write.")
@click.option("--author", "authors", multiple=True, help="Name of an author; can be given again.")
@white_option
def bioimageio(model: Path, data: Path, output: Path, authors: tuple[str, ...], white: White | None) -> None:
    """Pack MODEL for the programs that read bioimage.io packages, tested and shown with the first field of DATA."""
    card = export_bioimageio(model, data, output, authors=authors, white=white)
    if not authors:
        click.echo("The package names no author, which its publication needs: --author NAME.", err=True)
    if spdx_licence(card) is None:
        click.echo(
            f"The licence of the model, '{card.licence}', is none of the SPDX list: rdf.yaml names none.", err=True
        )
