"""``python -m export onnx``: exports one run as one ONNX file."""

from __future__ import annotations

from pathlib import Path

import click

from export.onnx.export import export_onnx, parity_file
from export.parity import SAMPLES
from hpa_sdk.cli.parameters import white_option
from hpa_sdk.models.contract import OPSET
from hpa_sdk.preprocessing import White


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="ONNX file to write.")
@click.option("--raw-planes", is_flag=True, help="Do the preprocessing in the graph: the file takes 8-bit planes.")
@click.option(
    "--samples",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Fields to compare on; may be given more than once. Default: the data of the fit.",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=SAMPLES,
    show_default=True,
    help="Number of fields of each --samples to compare on.",
)
@click.option("--opset", default=OPSET, show_default=True, help="Version of the standard ONNX operators.")
@white_option
def onnx(
    run: Path,
    output: Path,
    raw_planes: bool,
    samples: tuple[Path, ...],
    count: int,
    opset: int,
    white: White | None,
) -> None:
    """Export the network in the folder RUN, and compare its answers with the trained network's."""
    card = export_onnx(run, output, raw_planes=raw_planes, samples=samples, count=count, opset=opset, white=white)
    parity = card.parity
    if parity is not None:
        click.echo(
            f"{output}: at most {parity.max_difference:.1e} from the trained network on {parity.samples} fields,"
            f" {parity.same_label_sets:.2%} same label sets; field by field in {parity_file(output)}",
            err=True,
        )
