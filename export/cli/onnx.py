"""``python -m export onnx``: one run, one ONNX file."""

from __future__ import annotations

from pathlib import Path

import click

from export.export_onnx import export_onnx
from export.parity import LEAST_SAMPLES


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="ONNX file to write.")
@click.option("--samples", type=click.Path(path_type=Path), help="Fields to compare on. Default: the data of the fit.")
@click.option(
    "--count",
    type=click.IntRange(min=LEAST_SAMPLES),
    default=LEAST_SAMPLES,
    show_default=True,
    help="Number of fields to compare on.",
)
def onnx(run: Path, output: Path, samples: Path | None, count: int) -> None:
    """Export the network in the folder RUN, and compare its answers with the trained network's."""
    parity = export_onnx(run, output, samples=samples, count=count).parity
    if parity is not None:
        click.echo(
            f"{output}: at most {parity.max_difference:.1e} from the trained network on {parity.samples} fields,"
            f" {parity.same_label_sets:.2%} same label sets",
            err=True,
        )
