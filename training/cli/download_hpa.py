"""``python -m training download hpa``: gets published fields of the Human Protein Atlas."""

from __future__ import annotations

from pathlib import Path

import click

from training.data.hpa_format import HpaLabels, read_hpa_labels
from training.download import hpa
from training.download.tables import FAILURE_TABLE, LABEL_TABLE
from training.download.url_pattern import HPA_V18, UrlPattern


@click.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--url",
    default=HPA_V18,
    show_default=True,
    help="Address of a plane, with {channel} and {id}, or {folder} and {rest}: what is before and after the first '_'.",
)
@click.option("--size", type=click.IntRange(min=0), default=512, show_default=True, help="Side in pixels; 0 keeps it.")
@click.option("--workers", type=click.IntRange(1, 32), default=8, show_default=True, help="Planes at the same time.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Requests a second, at most, over all workers.",
)
def download_hpa(table: Path, out: Path, url: str, size: int, workers: int, rate: float) -> None:
    """Get the fields of TABLE (Id,Target) into OUT as grey planes in the Kaggle form.

    Target holds class indices separated by spaces, or HPA names separated by ';', ',' or '|'. The same command resumes
    an interrupted download. The exit code is 0 when all is there, 1 when planes failed (failures.csv says why),
    2 when nothing could start.
    """
    labels = read_hpa_labels(table)
    pattern = UrlPattern(url)
    _report_left_out(labels)
    try:
        download = hpa.download_hpa(labels.labels, out, pattern=pattern, size=size, workers=workers, rate=rate)
    except KeyboardInterrupt:
        click.echo("Stopped. Run the same command to resume.", err=True)
        raise click.Abort from None
    click.echo(f"{download.complete:,} of {len(labels.labels):,} fields are complete: {out / LABEL_TABLE}", err=True)
    if download.failures:
        click.echo(f"{len(download.failures):,} planes failed: {out / FAILURE_TABLE}", err=True)
    if download.untried:
        click.echo(
            f"The server could no longer be reached; {download.untried:,} planes were not tried. Run the same command"
            " to resume.",
            err=True,
        )
    if download.failures or download.untried:
        click.get_current_context().exit(1)


def _report_left_out(labels: HpaLabels) -> None:
    if labels.left_out:
        names = ", ".join(f"{name} ({count:,})" for name, count in labels.left_out_names().most_common())
        click.echo(
            f"{len(labels.left_out):,} fields are left out, for labels that none of the 28 classes stands for: {names}",
            err=True,
        )
