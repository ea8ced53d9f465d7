"""``hpa report``: shows results as one HTML page, a contact sheet, or both."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from hpa_sdk.cli.parameters import ModelPath, Threshold, card_option
from hpa_sdk.errors import count_of
from hpa_sdk.models.card_file import as_card
from hpa_sdk.report.build import LARGEST, Sources, make_report
from hpa_sdk.workstation.station import read_station

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("results", type=_FILE)
@click.option("-o", "--output", type=_FILE, help="HTML file to write.")
@click.option("--contact-sheet", type=_FILE, help="PNG file to write, with the fields most worth a look.")
@click.option("--planes", multiple=True, type=_FILE, help="What was given to hpa predict: folder, table or file.")
@click.option("--cells", type=_FILE, help="What hpa cells wrote for these fields: their cells are shown too.")
@click.option("--truth", type=_FILE, help="Table with the columns Id and Target, to judge the results.")
@click.option("--model", type=ModelPath(), help="Model that made the results: its card and thresholds are shown.")
@card_option
@click.option("--threshold", type=Threshold(), help="As it was given to hpa predict.")
@click.option("--station", type=_FILE, help="Station file by which hpa watch read the fields.")
@click.option(
    "--size", type=click.FloatRange(min=1), default=LARGEST, show_default=True, help="MB that the page may have."
)
def report(
    results: Path,
    output: Path | None,
    contact_sheet: Path | None,
    planes: tuple[Path, ...],
    cells: Path | None,
    truth: Path | None,
    model: Path | None,
    card: Path | None,
    threshold: float | Literal["card"] | None,
    station: Path | None,
    size: float,
) -> None:
    """Show RESULTS of hpa predict or hpa watch: pictures, labels and probabilities in one file that needs no network.

    RESULTS is a CSV, JSON lines or Parquet file of hpa predict or hpa cells, or the folder for results of hpa watch.
    Planes, model and threshold come from <RESULTS>.provenance.json, if they still exist, unless options name others.
    The exit code is 0 when all fields are shown, 1 when some of them failed (the page says why), 2 when nothing could
    start.
    """
    if output is None and contact_sheet is None:
        raise click.UsageError("Name a file to write: -o report.html, or --contact-sheet sheet.png.")
    sources = Sources(
        results=results,
        planes=planes,
        truth=truth,
        model=model,
        card=as_card(card),
        threshold=threshold,
        station=None if station is None else read_station(station),
        cells=cells,
    )
    fields = make_report(sources, page=output, contact_sheet=contact_sheet, size=size)
    failed = sum(field.result.error is not None for field in fields)
    written = ", ".join(f"{path} ({path.stat().st_size / 1e6:.1f} MB)" for path in (output, contact_sheet) if path)
    click.echo(f"{count_of(len(fields), 'field')}, {failed:,} failed: {written}", err=True)
    if failed:
        click.get_current_context().exit(1)
