"""``python -m export winograd``: makes an fp32 file with fewer multiplications, for CPUs."""

from __future__ import annotations

from pathlib import Path

import click

from export.cli.variant_options import judge_fields_option, print_written_files, variant_arguments
from export.winograd.export import export_winograd
from hpa_sdk.preprocessing import White


@click.command()
@variant_arguments
@judge_fields_option
def winograd(
    model: Path,
    data: Path,
    output: Path,
    white: White | None,
    force: bool,
    single_cells: bool,
    judge_fields: int,
) -> None:
    """Make the variant of MODEL that computes wide 3 x 3 convolutions by Winograd's method, in fp32 and for CPUs.

    Its answers are compared with MODEL's on the fields in DATA. It makes VGG-16 faster, but not Inception-ResNet-V2.
    """
    card = export_winograd(
        model, data, output, judged_fields=judge_fields, white=white, force=force, single_cells=single_cells
    )
    print_written_files(output, card)
