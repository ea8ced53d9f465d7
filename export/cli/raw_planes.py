"""``python -m export raw-planes``: makes a file with the same answers that takes planes of any size."""

from __future__ import annotations

from pathlib import Path

import click

from export.cli.variant_options import judge_fields_option
from export.raw_planes.export import export_raw_planes
from hpa_sdk.cli.parameters import ModelPath, white_option
from hpa_sdk.preprocessing import White


@click.command()
@click.argument("model", type=ModelPath())
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="ONNX file to write.")
@judge_fields_option
@white_option
def raw_planes(model: Path, data: Path, output: Path, judge_fields: int, white: White | None) -> None:
    """Put the preprocessing into MODEL, of any precision, and compare the answers of both on the fields in DATA."""
    _, agreement = export_raw_planes(model, data, output, judged_fields=judge_fields, white=white)
    click.echo(
        f"{output}: the same label set as the file that takes images for {agreement.same_label_sets:.2%} of"
        f" {agreement.fields} fields, probabilities at most {agreement.max_difference:.1e} away",
        err=True,
    )
