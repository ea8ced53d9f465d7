"""Writes packages of both forms of model, for the environment with bioimageio.core to test.

python -m tests.bioimageio_core.make_packages FOLDER
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np

from export.bioimageio.package import export_bioimageio
from tests.raw_model import make_raw_model
from tests.small import make_field, make_model


def make_packages(folder: Path) -> None:
    """Write ``image.zip`` and ``planes.zip`` into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_field(folder / "fields", "field", np.random.default_rng(11))
    for model in (make_model(folder / "image.onnx"), make_raw_model(folder / "planes.onnx")):
        export_bioimageio(model, folder / "fields", model.with_suffix(".zip"), authors=("A. Person",))


if __name__ == "__main__":
    make_packages(Path(sys.argv[1]))
