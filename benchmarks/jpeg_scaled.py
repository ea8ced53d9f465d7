"""Measures what decoding JPEG planes at a part of their size would save, and how it would change label sets.

    python -m benchmarks.jpeg_scaled resnet.onnx FIELDS -o docs/performance/jpeg_scaled.json

A JPEG file can be decoded at a half or a quarter of its size for less than the whole. The planes are real ones made
four times as wide and high by bicubic interpolation and saved as JPEG, as the Human Protein Atlas publishes its own;
times are milliseconds of processor time per plane on one thread, and the ways take turns.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.decoder_speed import enlarge, time_decoder
from benchmarks.figures import ratios, spreads, write_figures
from hpa_sdk import Predictor
from hpa_sdk.bench.rates import in_turn
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_plane
from hpa_sdk.prediction import Prediction
from hpa_sdk.preprocessing import Planes

_QUALITY = 95


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a fitted network")
    parser.add_argument("fields", type=Path, help="folder of fields")
    parser.add_argument("--count", type=int, default=40, help="most fields")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    predictor = Predictor.load(options.model, device="cpu")
    samples = list(find_samples(options.fields))[: options.count]
    ways: dict[str, Callable[[Path], Planes]] = {
        "whole": read_plane,
        "half": partial(_decode, part=2),
        "quarter": partial(_decode, part=4),
    }
    with TemporaryDirectory() as folder:
        fields = [
            [enlarge(file, Path(folder), ".jpg", quality=_QUALITY) for file in sample.files]
            for sample in tqdm(samples, desc="enlarge", disable=None)
        ]
        answers = {name: _answer(predictor, fields, read) for name, read in ways.items()}
        timed: dict[str, Callable[[], float]] = {
            name: partial(time_decoder, read, fields[0]) for name, read in ways.items()
        }
        rows = list(in_turn(timed, options.rounds))
    whole = answers["whole"]
    against_whole = {name: _compare(found, whole) for name, found in answers.items() if found is not whole}
    figures = {"fields": len(fields), "milliseconds_a_plane": spreads(rows), "of_whole": ratios(rows, "whole")}
    write_figures(options.output, figures | {"against_whole": against_whole})


def _decode(file: Path, part: int) -> Planes:
    with Image.open(file) as image:
        image.draft("L", (image.width // part, image.height // part))
        return np.asarray(image)


def _answer(predictor: Predictor, fields: list[list[Path]], read: Callable[[Path], Planes]) -> list[Prediction]:
    return [predictor.predict_planes([np.stack([read(file) for file in files])])[0] for files in fields]


def _compare(found: list[Prediction], whole: list[Prediction]) -> dict[str, float]:
    pairs = list(zip(found, whole, strict=True))
    return {
        "same_label_sets": float(np.mean([a.labels == b.labels for a, b in pairs])),
        "max_difference": max(float(np.abs(a.probabilities - b.probabilities).max()) for a, b in pairs),
    }


if __name__ == "__main__":
    main()
