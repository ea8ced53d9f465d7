"""Measures how far a file that takes raw planes is from the one that takes images, on planes of several sizes.

    python -m benchmarks.raw_planes resnet.onnx --fields FOLDER

The fields are resized to each size by bicubic interpolation, and one field of noise is added.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import cv2
import numpy as np
import numpy.typing as npt
import onnx

from export.raw_planes.graph import with_raw_planes
from hpa_sdk import Predictor, find_samples
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.models.contract import check_model
from hpa_sdk.preprocessing import Planes

SIZES = ((299, 299), (512, 512), (1024, 1024), (2048, 2048), (600, 800))


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a file that takes images")
    parser.add_argument("--fields", type=Path, required=True, help="folder or table of 8-bit fields")
    parser.add_argument("--count", type=int, default=32, help="fields at each size")
    options = parser.parse_args()
    card = check_model(options.model)
    in_graph = replace(card, preprocessing=replace(card.preprocessing, place="graph"))
    fields = [read_planes(sample) for sample in islice(find_samples(options.fields), options.count)]
    with TemporaryDirectory() as folder:
        raw = Path(folder) / "planes.onnx"
        onnx.save(with_raw_planes(onnx.load(options.model), card), raw)
        host = Predictor.load(options.model, device="cpu")
        graph = Predictor.load(raw, device="cpu", card=in_graph)
        for height, width in SIZES:
            planes = [_resized(field, height, width) for field in fields]
            planes.append(np.random.default_rng(1).integers(0, 256, (4, height, width), dtype=np.uint8))
            answers = [host.predict_planes(planes), graph.predict_planes(planes)]
            found, expected = (np.stack([item.probabilities for item in predicted]) for predicted in answers)
            same = np.mean([one.labels == other.labels for one, other in zip(*answers, strict=True)])
            click.echo(
                f"{height} x {width}: probabilities differ by {np.abs(found - expected).max():.1e} at most,"
                f" same label sets {same:.1%} of {len(planes)}"
            )
        # Windows can't remove a file that is still mapped.
        del graph


def _resized(planes: Planes, height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC) for plane in planes])


if __name__ == "__main__":
    main()
