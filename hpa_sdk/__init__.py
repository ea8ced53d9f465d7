"""Says in which of 28 organelles a protein sits, from four-channel fluorescence microscopy."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpa_sdk.errors import HpaError
    from hpa_sdk.fields.finding import find_samples
    from hpa_sdk.fields.samples import Channel, Sample
    from hpa_sdk.labels import Label
    from hpa_sdk.models.model_card import ModelCard
    from hpa_sdk.prediction import Failure, Prediction, PredictionError
    from hpa_sdk.predictor import Predictor
    from hpa_sdk.preprocessing import Preprocessing

__version__ = "0.1.0"

__all__ = [
    "Channel",
    "Failure",
    "HpaError",
    "Label",
    "ModelCard",
    "Prediction",
    "PredictionError",
    "Predictor",
    "Preprocessing",
    "Sample",
    "find_samples",
]

_HOME = {
    "Channel": "fields.samples",
    "Failure": "prediction",
    "HpaError": "errors",
    "Label": "labels",
    "ModelCard": "model_card",
    "Prediction": "prediction",
    "PredictionError": "prediction",
    "Predictor": "predictor",
    "Preprocessing": "preprocessing",
    "Sample": "fields.samples",
    "find_samples": "fields.finding",
}


def __getattr__(name: str) -> object:
    # OpenCV and NumPy take a third of a second to import: 'hpa --version' should not wait for them.
    if name not in _HOME:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
