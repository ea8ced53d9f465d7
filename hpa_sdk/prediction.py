"""Defines the answer of a predictor for one field: a label set with its probabilities, or the reason for a failure."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import HpaError, ModelFileError, SettingError, count_of
from hpa_sdk.files.file_state import FileState, escaped
from hpa_sdk.labels import HPA_2018, AnyLabel, Label, LabelScheme, SchemeLabel
from hpa_sdk.quality.quality import Quality

_log = logging.getLogger("hpa_sdk")

Probabilities = npt.NDArray[np.float32]
"""float32 of shape (fields, classes), 0 to 1, in the order of the label scheme: 28 for that of 2018."""

SMALLEST = 1e-7
"""A probability closer to 0 or 1 has no exact logit in float32. Keras clips its cross-entropy at the same value."""

_NUMBERS = np.finfo(np.float32)

ROUNDING = 1e-3
"""How far a probability can be outside 0 to 1 because of rounding, at most in half precision."""


def log_odds(probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Return the log-odds (logits) of probabilities: log(p / (1 - p)), with p clipped to `SMALLEST` from 0 and from 1.

    Parameters
    ----------
    probabilities : numpy.ndarray
        Of any shape and float type, 0 to 1.

    Returns
    -------
    numpy.ndarray
        float64 of the same shape.
    """
    p = probabilities.astype(np.float64).clip(SMALLEST, 1 - SMALLEST)
    odds: npt.NDArray[np.float64] = np.log(p / (1 - p))
    return odds


def sigmoid(logits: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Return the probabilities of logits: 1 / (1 + exp(-x)), in float32 without overflow.

    Parameters
    ----------
    logits : numpy.ndarray
        Of any shape and float type.

    Returns
    -------
    numpy.ndarray
        float32 of the same shape, 0 to 1.
    """
    x = logits.astype(np.float64)
    small = np.exp(-np.abs(x))
    probabilities: npt.NDArray[np.float32] = (np.where(x >= 0, 1, small) / (1 + small)).astype(np.float32)
    return probabilities


def with_temperature(probabilities: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float32]:
    """Return probabilities that agree better with observed frequencies: sigmoid(log-odds / temperature).

    0 and 1 stay as they are, and no other probability becomes 0 or 1: it would reach a threshold of 1.
    """
    changed = sigmoid(log_odds(probabilities) / temperature).clip(_NUMBERS.tiny, 1 - _NUMBERS.epsneg)
    return np.where((probabilities <= 0) | (probabilities >= 1), probabilities, changed).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Prediction(AbstractSet[AnyLabel]):
    """The label set of one field of view; itself a set of labels.

    Compares equal to any set with the same labels, and works with ``in``, ``len``, ``&``, ``|`` and ``-``.

    Attributes
    ----------
    id : str
        The sample's id. Fields of several folders can have the same id: `files` tells them apart.
    labels : frozenset of Label
        The classes whose probability reaches their threshold. Can be empty. Of another scheme than that of 2018:
        `SchemeLabel`.
    probabilities : numpy.ndarray
        float32 of shape (28,), 0 to 1, in the order of `scheme`. This array and those below are read-only.
    thresholds : numpy.ndarray
        float32 of shape (28,), 0 to 1.
    embedding : numpy.ndarray
        float32 of shape (512,): the features that the network computed, for search and maps. Of another width for
        other networks, and empty if the file does not give them.
    white : numpy.ndarray
        float32 of shape (4,): the grey level that counted as 1, of each plane that the network takes.
    files : tuple of FileState
        The files that the planes were read from, with their state at that time. Empty for planes from memory.
    notes : tuple of str
        What was done to the planes before the prediction, and what is unknown.
    scheme : LabelScheme
        The classes that the network answers with.
    channels : tuple of str
        What red, green, blue and yellow were read from: the name of a file, the position and the name of a channel in a
        stack, or what takes the place of a missing channel. Empty for planes from memory.
    quality : Quality or None
        How far the planes look like those that networks are trained on. None if it was not measured.
    deviations : numpy.ndarray
        float32 of shape (28,): standard deviation of the probabilities of the members of an ensemble, for each class.
        Members are the views and the models that `probabilities` are the mean of. Empty if there is one.
    """

    id: str
    labels: frozenset[AnyLabel]
    probabilities: npt.NDArray[np.float32]
    thresholds: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]
    white: npt.NDArray[np.float32]
    files: tuple[FileState, ...] = ()
    notes: tuple[str, ...] = ()
    scheme: LabelScheme = HPA_2018
    channels: tuple[str, ...] = ()
    quality: Quality | None = None
    deviations: npt.NDArray[np.float32] = field(default_factory=lambda: _frozen(np.zeros(0, np.float32)))

    @classmethod
    def from_probabilities(
        cls,
        probabilities: npt.NDArray[np.float32],
        *,
        id: str,  # noqa: A002 - the field's own word
        thresholds: npt.NDArray[np.float32],
        embedding: npt.NDArray[np.float32],
        white: npt.NDArray[np.float32],
        files: tuple[FileState, ...] = (),
        notes: tuple[str, ...] = (),
        scheme: LabelScheme = HPA_2018,
        channels: tuple[str, ...] = (),
        quality: Quality | None = None,
        deviations: npt.NDArray[np.float32] | None = None,
    ) -> Prediction:
        """Make the label set: every class with probability >= threshold."""
        return cls(
            id=id,
            labels=frozenset(scheme[int(index)] for index in np.flatnonzero(probabilities >= thresholds)),
            probabilities=_frozen(probabilities),
            thresholds=_frozen(thresholds),
            embedding=_frozen(embedding),
            white=_frozen(white),
            files=files,
            notes=notes,
            scheme=scheme,
            channels=channels,
            quality=quality,
            deviations=_frozen(np.zeros(0, np.float32) if deviations is None else deviations),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the answer may be wrong, in sentences: see `quality`."""
        return () if self.quality is None else self.quality.warnings

    @property
    def disagreement(self) -> float | None:
        """How much the members of an ensemble disagree, 0 to 0.5: the mean of `deviations`. None for one member."""
        # With the shortest digits of a float32, which every output writes.
        return float(str(self.deviations.mean())) if self.deviations.size else None

    def top(self, k: int) -> list[tuple[AnyLabel, float]]:
        """Return the `k` classes with the highest probability, highest first, regardless of the thresholds."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.scheme[int(index)], float(self.probabilities[index])) for index in order]

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> frozenset[Any]:
        # The result of & or | belongs to no single field of view, so it is a plain set.
        return frozenset(it)

    def __contains__(self, label: object) -> bool:
        """Whether a label is in the set.

        Raises
        ------
        SettingError
            The label is of another scheme, whose classes this network does not answer for.
        """
        scheme = label.scheme if isinstance(label, SchemeLabel) else HPA_2018.name
        if isinstance(label, (Label, SchemeLabel)) and scheme != self.scheme.name:
            raise SettingError(
                f"{label} is a label of {scheme}, and this prediction is of {self.scheme.name}",
                where=self.id,
                remedy="Ask for a label of its scheme, such as prediction.scheme.from_name('Nucleoplasm').",
            )
        if isinstance(label, SchemeLabel) and label not in self.scheme.labels:
            raise SettingError(
                f"{label!r} is no class of the {scheme} of this prediction",
                where=self.id,
                remedy="Ask for a label of its scheme: prediction.scheme.from_name.",
            )
        return label in self.labels

    def __iter__(self) -> Iterator[AnyLabel]:
        return iter(sorted(self.labels, key=int))

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Prediction({self.id!r}: {'; '.join(map(str, self)) or 'no label'})"


def _frozen(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    # A copy: a view would keep the whole batch in memory, and would make the caller's array read-only.
    frozen = array.copy()
    frozen.flags.writeable = False
    return frozen


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no prediction for one field.

    Attributes
    ----------
    id : str
        The sample's id, or the path if no sample was found there.
    error : HpaError
        What was wrong, where, and what to do about it.
    """

    id: str
    error: HpaError


class PredictionError(HpaError):
    """Some fields of a batch failed.

    Attributes
    ----------
    answers : list of Prediction or Failure
        The answer for every field, in the order of the sources.
    """

    def __init__(self, answers: list[Prediction | Failure]) -> None:
        self.answers = answers
        failures = [answer for answer in answers if isinstance(answer, Failure)]
        first = failures[0]
        rest = " The other answers are in this error's 'answers'." if len(failures) < len(answers) else ""
        super().__init__(
            f"{len(failures)} of {count_of(len(answers), 'field')} failed; the first, {first.id}: {first.error.what}",
            where=first.error.where,
            remedy=f"{first.error.remedy}{rest}",
        )

    def __reduce__(self) -> tuple[type[PredictionError], tuple[list[Prediction | Failure]]]:
        return type(self), (self.answers,)


def all_predicted(answers: list[Prediction | Failure]) -> list[Prediction]:
    """Return the answers if all of them are predictions.

    Raises
    ------
    PredictionError
        Some answers are failures. The error holds all answers.
    """
    if any(isinstance(answer, Failure) for answer in answers):
        raise PredictionError(answers)
    return cast("list[Prediction]", answers)


def warn_of_shared_ids(answers: Iterable[Prediction | Failure]) -> None:
    """Log a warning if fields of several folders, or with several extensions, have one id."""
    places: dict[str, set[tuple[str, str]]] = {}
    for answer in answers:
        path = answer.error.where if isinstance(answer, Failure) else answer.files[0].path if answer.files else None
        if path is not None:
            name = os.path.splitext(path)[1]  # noqa: PTH122 - faster than a Path for each of a hundred thousand
            places.setdefault(answer.id, set()).add((os.path.dirname(path), name))  # noqa: PTH120 - as above
    shared = [name for name, found in places.items() if len(found) > 1]
    if shared:
        _log.warning(
            "%s is the id of several fields%s: Prediction.files tells them apart. hpa predict gives each its own id.",
            escaped(shared[0]),
            "" if len(shared) == 1 else f", and {count_of(len(shared) - 1, 'other')} too",
        )


def find_fault(probabilities: npt.NDArray[np.float32], where: str, classes: int = len(Label)) -> HpaError | None:
    """Return an error if a model's output for a field can't be probabilities; else None.

    Parameters
    ----------
    probabilities : numpy.ndarray
        float32 of shape (classes,), the output of the model.
    where : str
        Id of the field.
    classes : int
        Number of classes of the label scheme.
    """
    if probabilities.shape != (classes,):
        return ModelFileError(
            f"the model gives scores of shape {probabilities.shape} for this field, not of {classes} classes",
            where=where,
            remedy="Correct the labels in the model card: one for each score.",
        )
    if not np.isfinite(probabilities).all():
        return ModelFileError(
            "the model's probabilities for this field are no numbers (NaN or infinite)",
            where=where,
            remedy="Run it with device='cpu', and the model's fp32 file if it has one: one of the two is at fault.",
        )
    if probabilities.min() < -ROUNDING or probabilities.max() > 1 + ROUNDING:
        return ModelFileError(
            f"the model's probabilities for this field lie between {probabilities.min():.3g} and"
            f" {probabilities.max():.3g}, not between 0 and 1",
            where=where,
            remedy="Let the network's output 'probabilities' be what its sigmoid gives, not the logits before it.",
        )
    return None
