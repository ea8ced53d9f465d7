"""What a predictor answers for one field: a set of labels with the numbers behind it, or the reason why not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import HpaError, ModelFileError, count_of
from hpa_sdk.files.file_state import FileState
from hpa_sdk.labels import Label

Probabilities = npt.NDArray[np.float32]
"""float32 of shape (fields, 28), 0 to 1, in the order of `Label`."""

SMALLEST = 1e-7
"""Probabilities nearer to 0 or 1 have no logit that float32 can tell; Keras clips its cross-entropy by the same."""

ROUNDING = 1e-3
"""How far outside 0 and 1 a probability can lie by rounding, in half precision at most."""


def log_odds(probabilities: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Give the log-odds (logits) of probabilities: log(p / (1 - p)), with p cut off at `SMALLEST` from 0 and from 1.

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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Prediction(AbstractSet[Label]):
    """The label set of one field of view; itself a set of `Label`.

    Compares equal to any set with the same labels, and works with ``in``, ``len``, ``&``, ``|`` and ``-``.

    Attributes
    ----------
    id : str
        The sample's id.
    labels : frozenset of Label
        The classes whose probability reaches their threshold; can be empty.
    probabilities : numpy.ndarray
        float32 of shape (28,), 0 to 1, in the order of `Label`; read-only, as are the arrays below.
    thresholds : numpy.ndarray
        float32 of shape (28,), 0 to 1.
    embedding : numpy.ndarray
        float32 of shape (512,): what the network saw, for search and maps.
    white : numpy.ndarray
        float32 of shape (4,): the grey level of each plane that counted as 1.
    files : tuple of FileState
        The files that the planes were read from, as they were then; empty for planes that never lay in a file.
    notes : tuple of str
        What was done to the planes on the way, and what is unknown.
    """

    id: str
    labels: frozenset[Label]
    probabilities: npt.NDArray[np.float32]
    thresholds: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]
    white: npt.NDArray[np.float32]
    files: tuple[FileState, ...] = ()
    notes: tuple[str, ...] = ()

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
    ) -> Prediction:
        """Make the label set: every class with probability >= threshold."""
        return cls(
            id=id,
            labels=frozenset(Label(int(index)) for index in np.flatnonzero(probabilities >= thresholds)),
            probabilities=_frozen(probabilities),
            thresholds=_frozen(thresholds),
            embedding=_frozen(embedding),
            white=_frozen(white),
            files=files,
            notes=notes,
        )

    def top(self, k: int) -> list[tuple[Label, float]]:
        """Give the `k` likeliest labels with their probabilities, likeliest first, whatever the thresholds."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(Label(int(index)), float(self.probabilities[index])) for index in order]

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> frozenset[Any]:
        # The result of & or | has no field of view of its own, so it is a plain set.
        return frozenset(it)

    def __contains__(self, label: object) -> bool:
        return label in self.labels

    def __iter__(self) -> Iterator[Label]:
        return iter(sorted(self.labels))

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Prediction({self.id!r}: {'; '.join(map(str, self)) or 'no label'})"


def _frozen(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    # A copy: a view would keep the whole batch in memory, and freeze what belongs to the caller.
    frozen = array.copy()
    frozen.flags.writeable = False
    return frozen


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer for one field.

    Attributes
    ----------
    id : str
        The sample's id, or the path where none was found.
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
        What was found for every field, in the order asked.
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
    """Give the answers if all are predictions.

    Raises
    ------
    PredictionError
        Some are not; it holds them all.
    """
    if any(isinstance(answer, Failure) for answer in answers):
        raise PredictionError(answers)
    return cast("list[Prediction]", answers)


def find_fault(probabilities: npt.NDArray[np.float32], where: str) -> HpaError | None:
    """Say why a model's numbers for a field can't be its probabilities; None where they can.

    Parameters
    ----------
    probabilities : numpy.ndarray
        float32 of shape (28,), as the model gave them.
    where : str
        Id of the field.
    """
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
