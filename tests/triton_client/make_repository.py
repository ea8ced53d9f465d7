"""Writes a model repository in all its variants, for the environment with Triton's client to read.

python -m tests.triton_client.make_repository REPOSITORY
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from export.triton.config import Serving
from export.triton.repository import export_triton
from tests.raw_model import make_raw_model
from tests.small import make_model

VARIANTS = {
    "usual": Serving(),
    "cpu": Serving(max_batch=3, queue_delay=0, instances=2, device="cpu"),
    "tensorrt": Serving(max_batch=1, tensorrt="fp16", engine_cache='D:\\engines "of Zoë"'),
}


def make_repository(folder: Path) -> None:
    """Write each variant of the model that takes images, and one that takes planes."""
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as models:
        image = make_model(Path(models) / "image.onnx")
        for name, serving in VARIANTS.items():
            export_triton(image, folder, serving, name=name)
        export_triton(make_raw_model(Path(models) / "planes.onnx"), folder, Serving(), name="planes")


if __name__ == "__main__":
    make_repository(Path(sys.argv[1]))
