"""Measures the start-up time: the import, and loading a model until its first answer, against a raw session.

    python -m benchmarks.start_up resnet.onnx resnet.int8.onnx --field FILE -o docs/performance/start_up.json

Each start is a new process, whose clock starts with its first line; both kinds take turns. The raw one imports NumPy,
OpenCV, Pillow and onnxruntime, reads the field with them and runs an onnxruntime session with default settings.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tqdm import tqdm

from benchmarks.figures import ratios, spreads, write_figures
from hpa_sdk.bench.rates import in_turn

_CLOCK = "import sys, time; begun = time.perf_counter()\n"
_PRINT = "\nprint(time.perf_counter() - begun)"
_SDK = _CLOCK + "from hpa_sdk import Predictor; Predictor.load(sys.argv[1], device='cpu').predict(sys.argv[2])" + _PRINT
_RAW = (
    _CLOCK
    + """import cv2, numpy as np, onnxruntime
from PIL import Image
stem = sys.argv[2].rpartition('_')[0]
red, green, blue, yellow = (np.asarray(Image.open(f'{stem}_{colour}.png'), np.float32)
                            for colour in ('red', 'green', 'blue', 'yellow'))
image = cv2.resize(np.stack((red / 2 + yellow / 2, green / 2 + yellow / 2, blue / 2), -1), (299, 299)) / 255
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=['CPUExecutionProvider'])
session.run(None, {'image': image[None]})"""
    + _PRINT
)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--field", type=Path, required=True, help="one of the four PNG files of a field")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    imports = list(in_turn({"import hpa_sdk": partial(_seconds, _CLOCK + "import hpa_sdk" + _PRINT)}, options.rounds))
    figures = {
        model.name: _measure(model, options.field, options.rounds) for model in tqdm(options.models, disable=None)
    }
    write_figures(options.output, {"import_seconds": spreads(imports), "models": figures})


def _measure(model: Path, field: Path, rounds: int) -> dict[str, object]:
    starts: dict[str, Callable[[], float]] = {
        "raw": partial(_seconds, _RAW, model, field),
        "sdk": partial(_seconds, _SDK, model, field),
    }
    for _ in in_turn(starts, 1):  # the first start of the SDK fills the model cache
        pass
    rows = list(in_turn(starts, rounds))
    return {"seconds": spreads(rows), "over_raw": ratios(rows, "raw")}


def _seconds(code: str, *arguments: Path) -> float:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    # As on a user's computer, where Python caches compiled files.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    completed = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8", env=environment)  # noqa: S603 - this file's own code
    return float(completed.stdout)


if __name__ == "__main__":
    main()
