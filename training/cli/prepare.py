"""``python -m training prepare``: decodes a data set once, for all later fits."""

from __future__ import annotations

import time
from pathlib import Path

import click
from tqdm import tqdm

from hpa_sdk.cli.parameters import white_option
from hpa_sdk.preprocessing import White
from training.data.dataset import read_datasets
from training.data.prepared import fields_to_prepare, prepared_folder
from training.data.prepared import prepare as prepare_images
from training.network_forms import NETWORK_NAMES, STUDY_NETWORKS, NetworkName, preprocessing_of


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where to keep the images. Default: .prepared in the first DATA."
)
@click.option(
    "--network",
    type=click.Choice(NETWORK_NAMES),
    default=STUDY_NETWORKS[0],
    show_default=True,
    help="The network that takes the images; both of the study take the same.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Threads. Default: one a core.")
@white_option
def prepare(
    data: tuple[Path, ...], folder: Path | None, network: NetworkName, workers: int | None, white: White | None
) -> None:
    """Preprocess the fields of DATA, folders with train.csv and its planes, into one file that fits read from.

    A fit on several folders reads from the file of these folders in this order. It takes 536 kB a field,
    524 kB for light. It can be
    stopped at any moment; the same command resumes it.
    """
    dataset = read_datasets(data, white=white)
    folder = folder or prepared_folder(data[0])
    preprocessing = preprocessing_of(network)
    waiting = fields_to_prepare(dataset, folder, preprocessing=preprocessing)
    start = time.monotonic()
    images = prepare_images(dataset, folder, preprocessing=preprocessing, workers=workers)
    seconds = time.monotonic() - start
    size = tqdm.format_sizeof(images.path.stat().st_size, "B")
    click.echo(
        f"{images.path}: {len(images):,} fields, {size}; {waiting:,} of them prepared now, in {seconds:.1f} s"
        f" ({waiting / seconds:.0f} fields/s)",
        err=True,
    )
