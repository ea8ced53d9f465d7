"""Opens the baselines that a predictor is compared with."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from hpa_sdk.errors import SettingError
from hpa_sdk.fields.samples import Sample
from hpa_sdk.inference.devices import load_onnxruntime
from hpa_sdk.models.catalogue import known_models
from hpa_sdk.models.model_content import ModelContent
from hpa_sdk.models.model_store import ModelStore
from hpa_sdk.models.network_form import Tensors
from hpa_sdk.prediction import Prediction, Probabilities
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import Preprocessing, White

STUDY_SIDE = 299
"""Height and width in pixels of the images of the study."""

_ERRORS_ONLY = 3


class Baseline(Protocol):
    """Another implementation, to compare with.

    Attributes
    ----------
    name : str
        What it is, for tables.
    """

    name: str

    def answers(self, samples: Iterator[Sample]) -> Generator[Probabilities]:
        """Yield the probabilities of each sample, float32 of shape (28,), in order."""


class OtherPredictor:
    """A predictor with another model or on another device."""

    def __init__(self, name: str, predictor: Predictor) -> None:
        self.name = name
        self._predictor = predictor
        predictor.session.for_many()

    def answers(self, samples: Iterator[Sample]) -> Generator[Probabilities]:
        """Answer as `Predictor.stream` does."""
        for answer in self._predictor.stream(samples, on_error="raise"):
            yield cast("Prediction", answer).probabilities


class StudyLoop:
    """The study's implementation: one field after the other, read by Pillow and blended in NumPy.

    Parameters
    ----------
    name : str
        What it is, for tables.
    network : Network
        Answers a batch of one image.
    """

    def __init__(self, name: str, network: Network) -> None:
        self.name = name
        self._network = network

    def answers(self, samples: Iterator[Sample]) -> Generator[Probabilities]:
        """Read and run each field before the next one."""
        for sample in samples:
            yield self._network(study_image(sample)[np.newaxis])[0]


class Network(Protocol):
    """Gives probabilities, (N, 28), of images, float64 of shape (N, 299, 299, 3)."""

    def __call__(self, images: npt.NDArray[np.float64]) -> Probabilities:
        """Answer a batch."""


def study_image(sample: Sample) -> npt.NDArray[np.float64]:
    """Make the image of a field exactly by the study's formula: in float64, blended before the resize."""
    red, green, blue, yellow = (np.asarray(Image.open(file), np.float64) for file in sample.files)
    blend = np.stack((red / 2 + yellow / 2, green / 2 + yellow / 2, blue / 2), axis=-1)
    return cv2.resize(blend, (STUDY_SIDE, STUDY_SIDE)) / 255


def open_baseline(name: str, predictor: Predictor, *, white: White | None, threads: int | None) -> Baseline:
    """Open a baseline by its name.

    Parameters
    ----------
    name : str
        - ``study-loop``: the study's loop with the same file in a plain onnxruntime session;
        - ``openvino``: the same file on that device;
        - ``no-quality``: the same file on the same device, without the quality of fields;
        - a model file or the name of a model: the other file, on the CPU;
        - ``MODULE:ARGUMENT``: what the function ``open_baseline`` of a module makes of an argument. In a checkout,
          ``benchmarks.keras_baseline:RUN`` is the study's loop with the Keras network of a run folder.
    predictor : Predictor
        The predictor that is compared. Its model file is read again, and has to be the same.
    white, threads : optional
        As for `Predictor.load`.

    Raises
    ------
    SettingError
        There is no such baseline.
    HpaError
        The baseline can't be opened.
    """
    if name == "study-loop":
        return StudyLoop("the study's loop with onnxruntime", PlainSession(predictor))
    if name in {"openvino", "no-quality"}:
        model, plain = predictor.model, name == "no-quality"
        same = Predictor.load(
            model.where,
            card=predictor.card,
            device=predictor.device if plain else name,
            white=white,
            threads=threads,
            sha256=model.sha256,
            runtime_options=predictor.runtime_options if plain else None,
            batch_size=predictor.session.batch_size if plain else None,
            quality=predictor.quality and not plain,
        )
        return OtherPredictor("the same file without quality" if plain else "the same file by OpenVINO", same)
    if Path(name).is_file() or name in known_models(ModelStore()):
        return OtherPredictor(Path(name).name, Predictor.load(name, device="cpu", white=white, threads=threads))
    module, separator, argument = name.partition(":")
    try:
        opened: Baseline = import_module(module).open_baseline(argument)
    except (ImportError, AttributeError, ValueError) as error:
        if separator:
            raise SettingError(f"no baseline can be had from {module} ({error})", remedy=_NAME_ONE) from error
        raise SettingError(f"{name!r} is no baseline", remedy=_NAME_ONE) from error
    return opened


_NAME_ONE = (
    "Name one of study-loop, openvino and no-quality, a model file, or MODULE:ARGUMENT; for Keras, in a checkout with"
    " the training extra: benchmarks.keras_baseline:RUN."
)


class PlainSession:
    """An onnxruntime session with default settings, on the CPU."""

    def __init__(self, predictor: Predictor) -> None:
        onnxruntime = load_onnxruntime()
        card = predictor.card
        model = ModelContent.read(predictor.model.where, sha256=predictor.model.sha256)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        self._runtime = onnxruntime.InferenceSession(model.model, options, providers=["CPUExecutionProvider"])
        if card.preprocessing != Preprocessing() or card.tensors != Tensors():
            raise SettingError(
                f"{model.identity.where.name} takes other images than those of the study, which the study's loop makes",
                remedy="Compare a file of the study's networks that was exported without --raw-planes.",
            )

    def __call__(self, images: npt.NDArray[np.float64]) -> Probabilities:
        """Answer a batch."""
        (probabilities,) = self._runtime.run(["probabilities"], {"image": images.astype(np.float32)})
        return cast("Probabilities", probabilities)
