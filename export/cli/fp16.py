"""``python -m export fp16``: makes a file of half the size for devices that compute in float16."""

from __future__ import annotations

from pathlib import Path

import click

from export.cli.variant_options import judge_fields_option, print_written_files, variant_arguments
from export.half import export_fp16
from hpa_sdk.preprocessing import White


@click.command()
@variant_arguments
@judge_fields_option
def fp16(
    model: Path,
    data: Path,
    output: Path,
    white: White | None,
    force: bool,
    single_cells: bool,
    judge_fields: int,
) -> None:
    """Make the fp16 variant of MODEL, and compare its answers with MODEL's on the fields in DATA."""
    card = export_fp16(
        model, data, output, judged_fields=judge_fields, white=white, force=force, single_cells=single_cells
    )
    print_written_files(output, card)
