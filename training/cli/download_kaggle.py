"""``python -m training download kaggle``: gets the labelled set of the 2018 challenge."""

from __future__ import annotations

from pathlib import Path

import click

from training.download import kaggle
from training.download.tables import FAILURE_TABLE


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
def download_kaggle(out: Path) -> None:
    """Get the labelled fields of the Kaggle set of 2018 into OUT: 31,072 fields of four planes, 512x512.

    It needs a Kaggle account that has accepted the rules of the competition, and an API token. The exit code is 0 when
    all is there, 1 when fields are missing (failures.csv says which), 2 when nothing could start.
    """
    click.echo(
        "Fetching train.zip of the Kaggle set: 14 GB to transfer (18 GB if Kaggle gives it only with the test set), and"
        " as much again on the disk for the planes. What has arrived stays in kagglehub's cache, on the disk that"
        " KAGGLEHUB_CACHE names.",
        err=True,
    )
    failures = kaggle.download_kaggle(out)
    if failures:
        click.echo(f"{len(failures)} planes are missing or damaged: {out / FAILURE_TABLE}", err=True)
        click.get_current_context().exit(1)
    click.echo(f"{kaggle.FIELDS:,} fields: {out}. The cache of kagglehub is no longer needed.", err=True)
