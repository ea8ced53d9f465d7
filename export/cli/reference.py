"""``python -m export reference``: puts what ``hpa reference`` learned into the card of a model file."""

from __future__ import annotations

from pathlib import Path

import click

from export.adopt import put_reference

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("model", type=_FILE)
@click.argument("reference_file", metavar="REFERENCE", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, help="ONNX file to write.")
def reference(model: Path, reference_file: Path, output: Path) -> None:
    """Put REFERENCE, which 'hpa reference MODEL FIELDS' wrote, into the card of MODEL.

    Operators and weights stay the same. Each prediction is then compared with these fields without an option.
    """
    written = put_reference(model, reference_file, output)
    click.echo(f"{output}: {written.name}, with its reference", err=True)
