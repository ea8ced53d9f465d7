"""``python -m export quantize``: makes a file of a quarter of the size that is several times as fast on a CPU."""

from __future__ import annotations

from pathlib import Path

import click

from export.cli.variant_options import judge_fields_option, print_written_files, variant_arguments
from export.fields import LEAST_FIELDS
from export.quantization.export import CALIBRATION_FIELDS, export_int8
from hpa_sdk.preprocessing import White


@click.command()
@variant_arguments
@judge_fields_option
@click.option(
    "--calibration-fields",
    type=click.IntRange(min=LEAST_FIELDS),
    default=CALIBRATION_FIELDS,
    show_default=True,
    help="Most fields of DATA to take the ranges of activations from; others are judged by.",
)
@click.option(
    "--held-out",
    type=click.Path(path_type=Path),
    help="Fields to judge by, such as the network was not fitted on. Default: the rest of DATA.",
)
@click.option("--reduce-range", is_flag=True, help="Give weights 7 bits in any case, for CPUs without VNNI.")
def quantize(
    model: Path,
    data: Path,
    output: Path,
    white: White | None,
    force: bool,
    single_cells: bool,
    judge_fields: int,
    calibration_fields: int,
    held_out: Path | None,
    reduce_range: bool,
) -> None:
    """Make the int8 variant of MODEL, and compare its answers with MODEL's on fields in DATA.

    Several ways to quantize are tried on this machine. Of those that pass the gates and are fast, the nearest is taken.
    """
    card = export_int8(
        model,
        data,
        output,
        held_out=held_out,
        calibration_fields=calibration_fields,
        judged_fields=judge_fields,
        reduce_range=reduce_range,
        white=white,
        force=force,
        single_cells=single_cells,
    )
    print_written_files(output, card)
