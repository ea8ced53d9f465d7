"""The study's way to predict, one field at a time through Keras, as a baseline for ``hpa bench --against``.

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
    """Load the network of a run folder into the study's loop."""
    return StudyLoop("the study's loop with Keras", KerasNetwork(Path(run)))


class KerasNetwork:
    """A fitted network, called as in the study."""

    def __init__(self, run: Path) -> None:
        self._network = read_run(run).network

    def __call__(self, images: npt.NDArray[np.float64]) -> Probabilities:
        """Predict a batch."""
        return cast("Probabilities", self._network.predict(images, verbose=0))
