"""Predicts in which of 28 organelles a protein is located, from four-channel fluorescence microscopy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpa_sdk.lazy_import import lazy_names, name_moved_modules

if TYPE_CHECKING:
    from hpa_sdk.errors import HpaError
    from hpa_sdk.fields.finding import find_samples
    from hpa_sdk.fields.reading import read_planes
    from hpa_sdk.fields.rules import FieldRules
    from hpa_sdk.fields.samples import Channel, Sample
    from hpa_sdk.labels import Label, LabelScheme, SchemeLabel
    from hpa_sdk.models.model_card import ModelCard
    from hpa_sdk.prediction import Failure, Prediction, PredictionError
    from hpa_sdk.predictor import Predictor
    from hpa_sdk.preprocessing import Preprocessing

__version__ = "0.1.0"

__all__ = [
    "Channel",
    "Failure",
    "FieldRules",
    "HpaError",
    "Label",
    "LabelScheme",
    "ModelCard",
    "Prediction",
    "PredictionError",
    "Predictor",
    "Preprocessing",
    "Sample",
    "SchemeLabel",
    "find_samples",
    "read_planes",
]

_HOME = {
    "Channel": "fields.samples",
    "Failure": "prediction",
    "FieldRules": "fields.rules",
    "HpaError": "errors",
    "Label": "labels",
    "LabelScheme": "labels",
    "ModelCard": "models.model_card",
    "Prediction": "prediction",
    "PredictionError": "prediction",
    "Predictor": "predictor",
    "Preprocessing": "preprocessing",
    "Sample": "fields.samples",
    "SchemeLabel": "labels",
    "find_samples": "fields.finding",
    "read_planes": "fields.reading",
}

# Importing OpenCV and NumPy takes a third of a second, and 'hpa --version' must not wait for it.
__getattr__ = lazy_names(__name__, _HOME)
name_moved_modules()


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
