"""Decides what a model's scores for a field mean: probabilities, label set, or a failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import SettingError
from hpa_sdk.inference.prepared_field import PreparedField
from hpa_sdk.labels import LabelScheme
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.prediction import Failure, Prediction, find_fault, with_temperature
from hpa_sdk.quality.quality import Quality, with_outlying


def check_threshold(threshold: float | Literal["card"]) -> None:
    """Refuse a threshold that is no probability.

    Raises
    ------
    SettingError
        It is neither a number from 0 to 1 nor ``"card"``.
    """
    if threshold != "card" and not (isinstance(threshold, (int, float)) and 0 <= threshold <= 1):
        raise SettingError(f"threshold={threshold!r} is none", remedy="Give a number from 0 to 1, or 'card'.")


@dataclass(frozen=True, slots=True)
class Decision:
    """The thresholds, the temperature and the reference that a predictor applies. Made by `Decision.of`.

    Attributes
    ----------
    card : ModelCard
        The model card.
    thresholds : numpy.ndarray
        float32, one for each class.
    temperature : float or None
        Calibrates the probabilities; None if they stay as the model gives them.
    """

    card: ModelCard
    thresholds: npt.NDArray[np.float32]
    temperature: float | None
    _scheme: LabelScheme = field(repr=False)

    @classmethod
    def of(cls, card: ModelCard, threshold: float | Literal["card"], *, calibrated: bool) -> Decision:
        """Choose the thresholds and the temperature.

        Raises
        ------
        SettingError
            The card has no calibration, or the network answers for pixels.
        """
        if card.unit == "pixel":
            raise SettingError(
                f"the network {card.name} finds cells, and answers with no label set",
                remedy="Name it as hpa cells MODEL --segmenter, with a MODEL that answers for fields or cells.",
            )
        if not calibrated:
            temperature = None
        elif card.calibration is None:
            raise SettingError(
                "the model card has no calibration",
                remedy="Leave calibrated=True (on the command line: --calibrated) out, or calibrate the run and export"
                " it.",
            )
        else:
            temperature = card.calibration.temperature
        if threshold != "card":
            thresholds = np.full(len(card.labels), threshold, np.float32)
        else:
            thresholds = np.asarray(card.thresholds, np.float32)
            thresholds = thresholds if temperature is None else with_temperature(thresholds, temperature)
        return cls(card, thresholds, temperature, card.label_scheme)

    def answer(
        self, asked: PreparedField, probabilities: npt.NDArray[np.float32], embedding: npt.NDArray[np.float32]
    ) -> Prediction | Failure:
        """Return the prediction of a field, or a failure if the model's output can't be probabilities."""
        fault = find_fault(probabilities, asked.id, len(self.thresholds))
        if fault is not None:
            return Failure(asked.id, fault)
        notes = asked.notes
        if self.temperature is not None:
            probabilities = with_temperature(probabilities, self.temperature)
            notes = (*notes, f"probabilities are calibrated with the temperature {self.temperature:g}")
        return Prediction.from_probabilities(
            probabilities,
            id=asked.id,
            thresholds=self.thresholds,
            embedding=embedding,
            white=asked.white,
            files=asked.files,
            notes=notes,
            scheme=self._scheme,
            channels=asked.channels,
            quality=self._quality_with(asked.quality, embedding),
        )

    def _quality_with(self, quality: Quality | None, embedding: npt.NDArray[np.float32]) -> Quality | None:
        spread = self.card.reference and self.card.reference.spread
        if quality is None or not spread:
            return quality
        return with_outlying(quality, spread.share_beyond(embedding))
