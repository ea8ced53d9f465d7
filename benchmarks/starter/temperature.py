"""Judges again whether a temperature improves the starter, and writes it into its card or takes it out.

    python -m benchmarks.starter.temperature hpa_sdk/models/starter.onnx --data FOLDER --validation 250 -o starter.onnx

The fields are those that the thresholds were tuned on: `--validation` simulated ones, and a part of `real_cells`.
`kaggle_fields` are not looked at. The weights stay the same bytes.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from benchmarks.starter.__main__ import add_validation_options, validation_fields
from benchmarks.starter.fields import Fields
from export.adopt import write_card
from hpa_sdk import Predictor
from hpa_sdk.models.contract import check_model
from hpa_sdk.models.onnx_file import map_file
from training.judge.calibration import calibrate, measure_reliability

_AT_ONCE = 16


def main() -> None:
    """Answer the validation fields, judge, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write")
    add_validation_options(parser)
    options = parser.parse_args()
    card = check_model(options.model)
    fields = validation_fields(options)
    probabilities = _answers(options.model, fields)
    found = calibrate(fields.targets, probabilities)
    for temperature in (1.0, *(each.temperature for each in (card.calibration, found) if each is not None)):
        error = measure_reliability(fields.targets, probabilities, temperature=temperature).error
        click.echo(f"temperature {temperature:.3f}: calibration error {error:.4f} on {len(fields)} fields")
    click.echo("no temperature is better than none" if found is None else f"written: {found.temperature:.3f}")
    write_card(bytes(map_file(options.model)), replace(card, calibration=found), options.output)


def _answers(model: Path, fields: Fields) -> npt.NDArray[np.float32]:
    with Predictor.load(model, device="cpu", quality=False) as predictor:
        batches = np.array_split(np.arange(len(fields)), -(-len(fields) // _AT_ONCE))
        return np.stack(
            [
                answer.probabilities
                for rows in batches
                for answer in predictor.predict_planes(
                    [np.ascontiguousarray(np.moveaxis(image, -1, 0)) for image in fields.images[rows]]
                )
            ]
        )


if __name__ == "__main__":
    main()
