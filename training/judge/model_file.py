"""Opens a model file as one side of a comparison, beside the network of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpa_sdk.inference.device_choice import open_session
from hpa_sdk.inference.session import Session, SessionSettings
from hpa_sdk.labels import HPA_2018
from hpa_sdk.models.contract import read_model
from hpa_sdk.models.model_content import ModelContent
from hpa_sdk.prediction import Probabilities
from training.errors import RunError
from training.judge.fitted_run import FittedRun, read_run
from training.onnx_graph import count_weights


class FileNetwork:
    """A model file that is asked like a Keras network.

    Parameters
    ----------
    session : Session
        The open file.
    parameters : int
        Number of its weights.
    """

    def __init__(self, session: Session, parameters: int) -> None:
        self._session = session
        self._parameters = parameters

    def predict_on_batch(self, images: npt.NDArray[np.float32]) -> Probabilities:
        """Return the probabilities, float32 of shape (N, 28), of images, float32 of shape (N, size, size, colours)."""
        return self._session.run(images)[0]

    def count_params(self) -> int:
        """Return the number of weights in the file; the export folds those of batch normalization into others."""
        return self._parameters


def read_side(path: Path) -> FittedRun:
    """Read one side of a comparison: a run folder, or an exported model file.

    Raises
    ------
    RunError
        The folder holds no finished run, or the file takes or answers something else than a network of a run.
    ModelFileError, ModelCardError, DeviceError
        The file can't be used, or onnxruntime is missing.
    """
    if not path.is_file():
        return read_run(path)
    content = ModelContent.read(path)
    _, card = read_model(content)
    form = card.preprocessing
    if form.place == "graph" or form.size is None or form.layout != "nhwc" or card.label_scheme != HPA_2018:
        raise RunError(
            f"the file can't be compared: it takes raw planes, images of any size or with colours first, or its classes"
            f" are not the {len(HPA_2018)} of {HPA_2018.name}",
            where=path,
            remedy="Name a file made by python -m export onnx without --raw-planes.",
        )
    if card.unit != "field":
        raise RunError(
            f"the file answers for single {card.unit}s, and whole fields would be taken as crops of one {card.unit}",
            where=path,
            remedy="Name a model that answers for fields.",
        )
    settings = SessionSettings(precision=card.precision, winograd=card.winograd, tensors=card.tensors)
    return FittedRun(
        folder=path,
        network=FileNetwork(open_session(content, "cpu", settings), count_weights(memoryview(content.model))),
        card=card,
        split=None,
        data=(),
        sizes=(),
        white=None,
        tuned=False,
        network_sha256=content.identity.sha256,
    )
