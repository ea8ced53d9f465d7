"""Says in one record what became of one field, so that files, pages and programs all tell the same."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from hpa_sdk.errors import HpaError
from hpa_sdk.files.file_state import FileStamp, escaped
from hpa_sdk.labels import Label
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.results.writers import joined_paths, joined_stamps


@dataclass(frozen=True, slots=True)
class ResultError:
    """Why a field has no labels.

    Attributes
    ----------
    what : str
        What was wrong, as a clause without a full stop.
    where : str or None
        The file it was found in.
    remedy : str
        What to do about it, as a full sentence.
    """

    what: str
    where: str | None
    remedy: str

    def __str__(self) -> str:
        return str(HpaError(self.what, where=self.where, remedy=self.remedy))


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one field.

    Attributes
    ----------
    id : str
        The field's id.
    labels : tuple of str
        HPA names of the classes that count, in the order of `Label`; can be empty, and is for a field that failed.
    indices : tuple of int
        Their indices, 0 to 27.
    probabilities, thresholds : tuple of float
        One for each class, 0 to 1, in the order of `Label`; empty for a field that failed.
    error : ResultError or None
        Why the field failed; None where it was answered.
    files : tuple of str
        The files it was read from, with absolute paths; empty for planes that never lay on a disk.
    stamps : tuple of FileStamp
        What each of these files was when it was read; empty for a field that failed, and in results of versions that
        did not keep it.
    model_sha256 : str
        SHA-256 of the model file, in hexadecimal.
    device : str
        The device that ran the model, as the runtime tells it.
    time : str
        When the field was answered: ISO 8601 in UTC.
    notes : tuple of str
        What was done to the planes on the way, and what else there is to know.
    """

    id: str
    labels: tuple[str, ...] = ()
    indices: tuple[int, ...] = ()
    probabilities: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()
    error: ResultError | None = None
    files: tuple[str, ...] = ()
    model_sha256: str
    device: str
    time: str
    notes: tuple[str, ...] = ()
    stamps: tuple[FileStamp, ...] = ()

    @classmethod
    def of(
        cls,
        answer: Prediction | Failure,
        *,
        model_sha256: str,
        device: str,
        files: Iterable[str | os.PathLike[str]] = (),
        notes: Iterable[str] = (),
    ) -> Result:
        """Make the record of an answer, as of now.

        Parameters
        ----------
        answer : Prediction or Failure
            The answer.
        model_sha256, device
            As the attributes.
        files : iterable of str or os.PathLike
            The files of a field that failed; a prediction says its own.
        notes : iterable of str
            Notes beside those of the prediction.
        """
        read = answer.files if isinstance(answer, Prediction) else ()
        own = answer.notes if isinstance(answer, Prediction) else ()
        paths = [file.path for file in read] or [os.path.abspath(file) for file in files]  # noqa: PTH100 - a text
        result = cls(
            id=escaped(answer.id),
            files=tuple(map(escaped, paths)),
            model_sha256=model_sha256,
            device=device,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            notes=tuple(map(escaped, (*own, *notes))),
            stamps=tuple(file.stamp for file in read),
        )
        if isinstance(answer, Failure):
            error = answer.error
            where = None if error.where is None else escaped(error.where)
            return replace(result, error=ResultError(escaped(error.what), where, escaped(error.remedy)))
        return replace(
            result,
            labels=tuple(label.hpa_name for label in answer),
            indices=tuple(map(int, answer)),
            # By their shortest digits: the float64 nearest to a float32 has a tail of digits that nobody computed.
            probabilities=tuple(float(str(probability)) for probability in answer.probabilities),
            thresholds=tuple(float(str(threshold)) for threshold in answer.thresholds),
        )

    def to_json(self) -> bytes:
        """Write the record as one line of JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes) -> Result:
        """Read a record that `to_json` wrote.

        Raises
        ------
        msgspec.DecodeError
            The text is no such record.
        """
        return msgspec.json.decode(text, type=cls)

    def to_row(self) -> list[object]:
        """Give the record's row in a table with the columns `COLUMNS`.

        The columns of `hpa_sdk.results.writers.CsvWriter` in their order and form, then what only a workstation knows.
        """
        return [
            self.id,
            ";".join(self.labels),
            " ".join(map(str, self.indices)),
            "" if self.error is None else str(self.error),
            *(self.probabilities or ("",) * len(Label)),
            self.time,
            self.device,
            self.model_sha256,
            joined_paths(self.files),
            ";".join(self.notes),
            joined_stamps(self.stamps),
        ]


COLUMNS = (
    *("id", "labels", "indices", "error"),
    *(label.hpa_name for label in Label),
    *("time", "device", "model_sha256", "files", "notes", "stamps"),
)
"""Columns of the table of results."""
