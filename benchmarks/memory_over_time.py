"""Measures whether memory stays flat over a long stream.

    python -m benchmarks.memory_over_time resnet.int8.onnx --fields FOLDER -o docs/performance/memory.json

The resident set is recorded every 100 fields. The result is its range around its median, from the 500th field on.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import psutil
from tqdm import tqdm

from benchmarks.figures import write_figures
from hpa_sdk import Predictor, find_samples

_EVERY = 100
_SETTLED = 500
_MEBIBYTE = 2**20


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--fields", type=Path, required=True, help="folder or table of fields, read again and again")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    predictor = Predictor.load(options.model, device=options.device)
    samples = itertools.islice(itertools.cycle(list(find_samples(options.fields))), options.count)
    process = psutil.Process()
    sizes: dict[int, float] = {}
    answers = predictor.stream(samples, on_error="raise")
    for number, _ in enumerate(tqdm(answers, total=options.count, unit=" fields", disable=None)):
        if number % _EVERY == 0:
            sizes[number] = process.memory_info().rss / _MEBIBYTE
    settled = np.array([size for number, size in sizes.items() if number >= _SETTLED])
    away = settled / np.median(settled) - 1
    write_figures(
        options.output,
        {
            "model": options.model.name,
            "device": predictor.device,
            "fields": options.count,
            "median_mib": float(np.median(settled)),
            "lowest": float(away.min()),
            "highest": float(away.max()),
            "mib": sizes,
        },
    )


if __name__ == "__main__":
    main()
