"""Compares the answers of two model files on the same fields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score
from tqdm import tqdm

from export.fields import Fields
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.prediction import Probabilities
from hpa_sdk.predictor import Predictor


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Agreement of a file's answers with its parent's, with the attributes of `hpa_sdk.models.variant.Variant`."""

    data: str
    fields: int
    max_difference: float
    mean_difference: float
    same_label_sets: float
    micro_f1: float | None
    macro_f1: float | None
    parent_micro_f1: float | None
    parent_macro_f1: float | None


def answer(model: Path, card: ModelCard, fields: Fields) -> Probabilities:
    """Predict fields with a model file on the CPU, one by one, so that memory does not grow with their number.

    Parameters
    ----------
    model : pathlib.Path
        An ONNX file of the contract, with a card or without.
    card : ModelCard
        Gives the preprocessing and the thresholds.
    fields : Fields
        The fields to predict.

    Returns
    -------
    numpy.ndarray
        float32 of shape (fields, classes), 0 to 1.

    Raises
    ------
    HpaError
        The file can't be opened, or a field can't be read or has changed since another model predicted it.
    """
    predictor = Predictor.load(model, device="cpu", card=card, white=fields.white)
    answers = predictor.stream(fields.samples, on_error="raise")
    shown = tqdm(answers, total=len(fields.samples), desc="predict", unit="field", disable=None, leave=False)
    probabilities = []
    for sample, item in zip(fields.samples, shown, strict=True):
        fields.record(sample, item.files)
        probabilities.append(item.probabilities)
    return np.stack(probabilities)


def compare(parent: Probabilities, found: Probabilities, card: ModelCard, fields: Fields) -> Agreement:
    """Compare the answers of a file with those of its parent, at the card's thresholds.

    F1 is computed over all decisions (micro), and as the mean over the classes that occur (macro).

    Parameters
    ----------
    parent, found : numpy.ndarray
        float32 of shape (fields, classes), as `answer` gives them.
    card : ModelCard
        Gives the thresholds.
    fields : Fields
        The predicted fields.
    """
    thresholds = np.asarray(card.thresholds, np.float32)
    differences = np.abs(found - parent)
    present, expected = found >= thresholds, parent >= thresholds
    micro, macro = _f1(fields.targets, present)
    parent_micro, parent_macro = _f1(fields.targets, expected)
    return Agreement(
        data=fields.name,
        fields=len(fields.samples),
        max_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
        same_label_sets=float((present == expected).all(axis=1).mean()),
        micro_f1=micro,
        macro_f1=macro,
        parent_micro_f1=parent_micro,
        parent_macro_f1=parent_macro,
    )


def _f1(targets: npt.NDArray[np.bool_] | None, present: npt.NDArray[np.bool_]) -> tuple[float | None, float | None]:
    if targets is None:
        return None, None
    by_class = f1_score(targets, present, average=None, zero_division=0)
    micro = f1_score(targets, present, average="micro", zero_division=0)
    return float(micro), float(by_class[targets.any(axis=0)].mean())
