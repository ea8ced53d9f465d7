"""Measures the files of many cells: their size, how fast they are written, and the memory that takes.

    python -m benchmarks.cell_files --fields 100 --cells 1000

Every field has the same number of cells, which fill discs of 48 pixels, with random answers of 28 classes and an
embedding of 512 numbers. Each form is written by a process of its own, so that its peak memory is its own. The memory
of one field's label image and answers is in it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.connection
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import cv2
import numpy as np
import psutil

from hpa_sdk.cells.anndata_file import write_h5ad
from hpa_sdk.cells.cell import CellAnswers, Segmentation
from hpa_sdk.cells.geojson import write_geojson
from hpa_sdk.cells.label_image import write_label_image
from hpa_sdk.cells.regions import cells_of
from hpa_sdk.cells.writers import FORMS, open_cell_writer
from hpa_sdk.labels import HPA_2018
from hpa_sdk.prediction import Prediction

_SIDE, _RADIUS = 64, 24


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, default=100)
    parser.add_argument("--cells", type=int, default=1000, help="in each field")
    options = parser.parse_args()
    click.echo(f"{options.fields * options.cells:,} cells in {options.fields:,} fields")
    with TemporaryDirectory() as name:
        for form in ("nothing", *FORMS, "h5ad", "geojson", "label images"):
            context = multiprocessing.get_context("spawn")
            answer, question = context.Pipe(duplex=False)
            process = context.Process(target=_measure, args=(form, Path(name), options.fields, options.cells, question))
            process.start()
            seconds, peak = answer.recv()
            process.join()
            written = sum(file.stat().st_size for file in Path(name).glob(f"{form.replace(' ', '-')}*"))
            click.echo(f"{form:<14} {written / 1e6:8.1f} MB {seconds:7.1f} s {peak / 1e6:8.0f} MB of memory")


def _measure(form: str, folder: Path, fields: int, cells: int, question: multiprocessing.connection.Connection) -> None:
    one = _field(cells)
    began = time.monotonic()
    if form in FORMS:
        with open_cell_writer(folder / f"{form}.{form}", form) as writer:
            for at in range(fields):
                writer.write(replace(one, id=str(at)))
    elif form == "h5ad":
        write_h5ad(folder / "h5ad.h5ad", folder / "parquet.parquet", model={"name": "random"})
    elif form == "geojson":
        for at in range(fields):
            write_geojson(folder / f"geojson-{at}.geojson", one)
    elif form == "label images":
        for at in range(fields):
            write_label_image(folder / f"label-images-{at}.ome.tif", one.segmentation, id=str(at))
    question.send((time.monotonic() - began, _peak()))


def _peak() -> int:
    info = psutil.Process().memory_info()
    peak = getattr(info, "peak_wset", None)
    if peak is not None:
        return int(peak)
    import resource  # noqa: PLC0415 - Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _field(cells: int) -> CellAnswers:
    across = int(np.ceil(cells**0.5))
    labels = np.zeros((across * _SIDE, across * _SIDE), np.int32)
    for at in range(cells):
        middle = (at % across * _SIDE + _SIDE // 2, at // across * _SIDE + _SIDE // 2)
        cv2.circle(labels, middle, _RADIUS, at + 1, -1)
    rng = np.random.default_rng(0)
    answers = tuple(
        Prediction.from_probabilities(
            rng.random(len(HPA_2018), np.float32),
            id=f"field:{at}",
            thresholds=np.full(len(HPA_2018), 0.9, np.float32),
            embedding=rng.random(512, np.float32),
            white=np.full(4, 255, np.float32),
        )
        for at in range(cells)
    )
    found = Segmentation(labels=labels, cells=cells_of(labels, 0.08), pixel_size=0.08, source="discs")
    return CellAnswers(id="field", segmentation=found, answers=answers)


if __name__ == "__main__":
    main()
