"""Writes packages of both forms of model, and of an adopted one, for the environment with bioimageio.core to test.

python -m tests.bioimageio_core.make_packages FOLDER
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import onnx

from export.bioimageio.package import export_bioimageio
from export.model_card import embed_card
from tests.raw_model import make_raw_model
from tests.small import CARD, make_field, make_model
from tests.stand_ins import Interface, card_of, write_stand_in


def make_packages(folder: Path) -> None:
    """Write ``image.zip``, ``planes.zip`` and ``elsewhere.zip`` into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_field(folder / "fields", "field", np.random.default_rng(11))
    elsewhere = Interface(side=48, batch=None, logits=True, channels=("red", "blue", "green"))
    path = write_stand_in(folder / "elsewhere.onnx", elsewhere)
    path.write_bytes(embed_card(onnx.load(path), card_of(elsewhere, created=CARD.created)))
    for model in (make_model(folder / "image.onnx"), make_raw_model(folder / "planes.onnx"), path):
        export_bioimageio(model, folder / "fields", model.with_suffix(".zip"), authors=("A. Person",))


if __name__ == "__main__":
    make_packages(Path(sys.argv[1]))
