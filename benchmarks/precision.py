"""Compares a variant with the fp32 file: CPU time, size, and answers.

    python -m benchmarks.precision resnet.onnx resnet.int8.onnx resnet.fp16.onnx --fields FOLDER

CPU time is for one field on one thread. The files take turns; the median of the pairs is printed with its range.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from export.fields import read_fields
from export.variants.agreement import answer, compare
from export.variants.speed import measure_cpu_times
from export.variants.variant import Parent
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.contract import read_model


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parent", type=Path, help="the fp32 file")
    parser.add_argument("variants", type=Path, nargs="+")
    parser.add_argument("--fields", type=Path, required=True, help="folder or table of fields to answer")
    parser.add_argument("--count", type=int, default=64, help="most fields to answer")
    parser.add_argument("--pairs", type=int, default=7, help="how often each pair is measured")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    rows = measure(options.parent, options.variants, options.fields, count=options.count, pairs=options.pairs)
    for row in rows:
        low, high = row["cpu_share_range"]
        click.echo(
            f"{row['file']}: {row['cpu_share']:.2f} ({low:.2f} to {high:.2f}) of the CPU time,"
            f" {row['size_share']:.3f} of the size, same label sets {row['same_label_sets']:.2%} of {row['fields']},"
            f" probabilities at most {row['max_difference']:.1e} and on average {row['mean_difference']:.1e} away"
        )
    if options.json is not None:
        with atomic_write(options.json) as partial:
            partial.write_text(json.dumps(rows, indent=2), encoding="utf-8")


def measure(parent: Path, variants: list[Path], data: Path, *, count: int, pairs: int) -> list[dict[str, Any]]:
    """Measure each variant against its parent.

    Parameters
    ----------
    parent : pathlib.Path
        The fp32 file.
    variants : list of pathlib.Path
        Files made from it.
    data : pathlib.Path
        Fields to answer.
    count : int
        Most fields to answer.
    pairs : int
        How often each pair is measured.

    Returns
    -------
    list of dict
        For each variant its shares of CPU time and size, and the attributes of `export.variants.agreement.Agreement`.
    """
    file, card = read_model(parent)
    original = Parent(parent, card, file)
    judged = read_fields(data, card, least=1).first(count)
    image = next(judged.images(card.preprocessing))
    expected = answer(parent, card, judged)
    rows = []
    for variant in variants:
        times = measure_cpu_times([parent, variant], original.inputs_of(image), rounds=pairs)
        shares = times[:, 1] / times[:, 0]
        agreement = compare(expected, answer(variant, card, judged), card, judged)
        rows.append(
            {
                "file": variant.name,
                "parent_cpu_ms": float(np.median(times[:, 0]) * 1e3),
                "cpu_share": float(np.median(shares)),
                "cpu_share_range": (float(shares.min()), float(shares.max())),
                "size_share": variant.stat().st_size / parent.stat().st_size,
                **asdict(agreement),
            }
        )
    return rows


if __name__ == "__main__":
    main()
