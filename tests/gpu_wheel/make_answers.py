"""Writes fields, a model, and what the CPU wheel answers, for the environment with the other wheel to compare with.

python -m tests.gpu_wheel.make_answers FOLDER
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np

from hpa_sdk import Predictor
from tests.small import make_field, make_model


def make_answers(folder: Path) -> None:
    """Write ``model.onnx``, ``fields/`` and ``probabilities.npy`` into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(11)
    for number in range(8):
        make_field(folder / "fields", f"field-{number}", rng)
    predictor = Predictor.load(make_model(folder / "model.onnx"), device="cpu")
    np.save(folder / "probabilities.npy", [item.probabilities for item in predictor.predict(folder / "fields")])


if __name__ == "__main__":
    make_answers(Path(sys.argv[1]))
