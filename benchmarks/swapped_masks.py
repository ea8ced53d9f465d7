"""Measures how often a mask of another field is noticed, and how often a field's own mask is suspected.

    python -m benchmarks.swapped_masks FIELDS

The built-in segmentation finds the cells of each field. Its label image is then read as the mask of the field itself,
and as the mask of every other field of the same size.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from tqdm import tqdm

from hpa_sdk.cells.classical import ClassicalSegmenter
from hpa_sdk.cells.label_image import write_label_image
from hpa_sdk.cells.masks import MaskFolder
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_field


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fields", type=Path)
    parser.add_argument("--pixel-size", type=float, default=None, help="micrometres per pixel, if it is known")
    options = parser.parse_args()
    segmenter = ClassicalSegmenter()
    suspected = {True: [0, 0], False: [0, 0]}
    with TemporaryDirectory() as name:
        planes = {}
        for sample in tqdm(find_samples(options.fields), unit=" fields", disable=None):
            read = read_field(sample).planes
            found = segmenter.segment(read, id=sample.id, pixel_size=options.pixel_size)
            if found.cells:
                planes[sample.id] = read
                write_label_image(Path(name) / f"{sample.id}_cells.ome.tif", found, id="")
        masks = MaskFolder(Path(name))
        for mask, field in product(planes, planes):
            shape = planes[field].shape[1:]
            if shape == planes[mask].shape[1:]:
                notes = masks.read(mask, shape, planes=planes[field]).notes
                counts = suspected[mask == field]
                counts[0] += any("another field" in note for note in notes)
                counts[1] += 1
    for own, (noticed, all_masks) in suspected.items():
        click.echo(f"{'own' if own else 'other'} masks: {noticed} of {all_masks} are noted as of another field")


if __name__ == "__main__":
    main()
