"""Decides what the scores of one or several models for a field mean: probabilities, label set, or a failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import SettingError
from hpa_sdk.inference.prepared_field import PreparedField
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.prediction import Failure, Prediction, find_fault, log_odds, sigmoid, with_temperature
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
    """The thresholds, the temperatures and the reference that a predictor applies. Made by `Decision.of`.

    Attributes
    ----------
    cards : tuple of ModelCard
        The model cards. The reference is that of the first.
    thresholds : numpy.ndarray
        float32, one for each class.
    temperatures : tuple of float or None
        Calibrate the probabilities of each model; None if they stay as the models give them.
    views : int
        How many answers each model gives for a field.
    """

    cards: tuple[ModelCard, ...]
    thresholds: npt.NDArray[np.float32]
    temperatures: tuple[float, ...] | None
    views: int

    @classmethod
    def of(
        cls, cards: Sequence[ModelCard], threshold: float | Literal["card"], *, calibrated: bool, views: int = 1
    ) -> Decision:
        """Choose the thresholds and the temperatures.

        Raises
        ------
        SettingError
            A card has no calibration, or a network answers for pixels.
        """
        for card in cards:
            if card.unit == "pixel":
                raise SettingError(
                    f"the network {card.name} finds cells, and answers with no label set",
                    remedy="Name it as hpa cells MODEL --segmenter, with a MODEL that answers for fields or cells.",
                )
        temperatures = tuple(map(_temperature_of, cards)) if calibrated else None
        if threshold != "card":
            thresholds = np.full(len(cards[0].labels), threshold, np.float32)
        else:
            of_cards = [np.asarray(card.thresholds, np.float32) for card in cards]
            thresholds = _mean(_tempered(of_cards, temperatures))
        return cls(tuple(cards), thresholds, temperatures, views)

    def answer(
        self,
        asked: PreparedField,
        members: Sequence[npt.NDArray[np.float32]],
        embedding: npt.NDArray[np.float32],
    ) -> Prediction | Failure:
        """Return the prediction of a field, or a failure if a model's output can't be probabilities.

        Parameters
        ----------
        asked : PreparedField
            The field.
        members : sequence of numpy.ndarray
            The probabilities that each view of each model gives, float32 of shape (classes,).
        embedding : numpy.ndarray
            The embedding of the field.
        """
        for probabilities in members:
            fault = find_fault(probabilities, asked.id, len(self.thresholds))
            if fault is not None:
                return Failure(asked.id, fault)
        temperatures = self.temperatures and tuple(np.repeat(self.temperatures, self.views).tolist())
        several = _tempered(members, temperatures)
        empty: npt.NDArray[np.float32] = np.zeros(0, np.float32)
        return Prediction.from_probabilities(
            _mean(several),
            id=asked.id,
            thresholds=self.thresholds,
            embedding=embedding,
            white=asked.white,
            files=asked.files,
            notes=(*asked.notes, *self._notes()),
            scheme=self.cards[0].label_scheme,
            channels=asked.channels,
            quality=self._quality_with(asked.quality, embedding),
            deviations=np.std(several, axis=0, dtype=np.float64).astype(np.float32) if len(members) > 1 else empty,
        )

    def _notes(self) -> Iterator[str]:
        if self.temperatures is not None:
            one = "temperature" if len(self.temperatures) == 1 else "temperatures"
            numbers = " and ".join(f"{temperature:g}" for temperature in self.temperatures)
            yield f"probabilities are calibrated with the {one} {numbers}"
        parts = [f"{self.views} views"] * (self.views > 1)
        if len(self.cards) > 1:
            parts.append(f"{len(self.cards)} models: {', '.join(card.name for card in self.cards)}")
        if parts:
            yield f"the mean of {' of '.join(parts)}"

    def _quality_with(self, quality: Quality | None, embedding: npt.NDArray[np.float32]) -> Quality | None:
        reference = self.cards[0].reference
        spread = reference and reference.spread
        if quality is None or not spread:
            return quality
        return with_outlying(quality, spread.share_beyond(embedding))


def _temperature_of(card: ModelCard) -> float:
    if card.calibration is None:
        raise SettingError(
            f"the model card of {card.name} has no temperature to calibrate with",
            remedy="Leave calibrated=True (on the command line: --calibrated) out. A fit and 'hpa adapt' write a"
            " temperature into the card if it is better than none.",
        )
    return card.calibration.temperature


def _tempered(
    rows: Sequence[npt.NDArray[np.float32]], temperatures: Sequence[float] | None
) -> Sequence[npt.NDArray[np.float32]]:
    if temperatures is None:
        return rows
    return [with_temperature(row, temperature) for row, temperature in zip(rows, temperatures, strict=True)]


def _mean(rows: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Average probabilities in log-odds; those that are all the same stay exactly so."""
    if len(rows) == 1:
        return rows[0]
    mean = sigmoid(log_odds(np.stack(rows)).mean(axis=0))
    return np.where(np.ptp(rows, axis=0) == 0, rows[0], mean)
