"""Answers as the study did, one field after the other through Keras, for ``hpa bench --against``.

    hpa bench resnet.onnx FIELDS --against benchmarks.keras_baseline:RUN

Run from a checkout with the training extra.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from hpa_sdk.bench.baselines import StudyLoop
from hpa_sdk.prediction import Probabilities
from training.judge.fitted_run import read_run


def open_baseline(run: str) -> StudyLoop:
    """Open the network of a run folder in the study's loop."""
    return StudyLoop("the study's loop with Keras", KerasNetwork(Path(run)))


class KerasNetwork:
    """A fitted network, asked as the study asks it."""

    def __init__(self, run: Path) -> None:
        self._network = read_run(run).network

    def __call__(self, images: npt.NDArray[np.float64]) -> Probabilities:
        """Answer a batch."""
        return cast("Probabilities", self._network.predict(images, verbose=0))
