"""Measures which layers cause the error of an int8 file: one group at a time is quantized, the others are float.

    python -m benchmarks.quantization_noise resnet.onnx FIELDS --held-out OTHER_FIELDS

The error is the root mean square of the differences of the logits of the classes in use, on held-out fields, with
activations of 8 bits and MinMax ranges. The distance of fields from a threshold is printed too: a label set changes if
the error is larger than that.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from export.fields import LEAST_FIELDS, read_fields
from export.quantization.quantizer import QuantizationPlan, Quantizer
from export.variants.agreement import answer
from export.variants.variant import read_parent
from hpa_sdk.prediction import log_odds

_IN_USE = 0.05


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="an fp32 file of a fitted network")
    parser.add_argument("fields", type=Path, help="fields to find ranges on")
    parser.add_argument("--held-out", type=Path, required=True, help="fields to judge by")
    parser.add_argument("--groups", type=int, default=12, help="groups of convolutions that follow one another")
    options = parser.parse_args()
    with TemporaryDirectory() as work:
        parent = read_parent(options.model, Path(work) / "int8.onnx")
        held_out = read_fields(options.held_out, parent.card, least=LEAST_FIELDS)
        expected = answer(parent.path, parent.card, held_out)
        used = (expected > _IN_USE).any(axis=0)
        margin = np.abs(log_odds(expected) - log_odds(np.array(parent.card.thresholds)))[:, used].min(axis=1)
        click.echo(f"{len(margin)} fields; logits from the nearest threshold, nearest fields first:")
        click.echo(
            "  " + " ".join(f"{each:.3f}" for each in np.sort(margin)[:10]) + f"; median {np.median(margin):.2f}"
        )
        calibration = read_fields(options.fields, parent.card, least=LEAST_FIELDS).first(LEAST_FIELDS)
        quantizer = Quantizer(parent, calibration, Path(work))
        convolutions = quantizer.convolutions
        groups = [tuple(group) for group in np.array_split(convolutions, min(options.groups, len(convolutions)))]
        for group in (convolutions, *groups):
            excluded = tuple(name for name in convolutions if name not in group)
            found = answer(quantizer.quantize(QuantizationPlan(excluded=excluded)), parent.card, held_out)
            error = (log_odds(found) - log_odds(expected))[:, used]
            layers = f"{group[0]} to {group[-1]} ({len(group)})"
            click.echo(f"  {layers:<32} {np.sqrt(np.mean(error**2)):.4f} logits")


if __name__ == "__main__":
    main()
