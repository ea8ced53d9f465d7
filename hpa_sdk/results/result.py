"""The record of one field's result, which is the same for files, pages and programs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.reading import UNUSED
from hpa_sdk.fields.samples import Channel
from hpa_sdk.files.file_state import FileStamp, escaped
from hpa_sdk.labels import HPA_2018, LabelScheme
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_content import ModelIdentity, ensemble_sha256
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.results.cell_counts import CellCounts
from hpa_sdk.results.writers import FIRST_COLUMNS, joined_stamps, joined_texts, origin_columns, scheme_cell


class Answering(Protocol):
    """What a result records of the predictor that answered: see `hpa_sdk.Predictor`."""

    model: ModelIdentity
    views: int

    @property
    def others(self) -> Sequence[tuple[ModelIdentity, ModelCard]]:
        """The further models of an ensemble."""

    @property
    def device(self) -> str:
        """The device in use."""


def models_of(predictor: Answering) -> tuple[str, ...]:
    """Return the SHA-256 of each model file of a predictor, in hexadecimal."""
    return (predictor.model.sha256, *(other.sha256 for other, _ in predictor.others))


@dataclass(frozen=True, slots=True)
class ResultError:
    """Why a field has no labels.

    Attributes
    ----------
    what : str
        The problem, as a clause without a full stop.
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
    """The result of one field.

    Attributes
    ----------
    id : str
        The field's id.
    labels : tuple of str
        Names of the predicted classes, in the order of the scheme; can be empty, and is for a field that failed.
    indices : tuple of int
        Their indices in the scheme.
    probabilities, thresholds : tuple of float
        One for each class, 0 to 1, in the order of the scheme; empty for a field that failed.
    error : ResultError or None
        Why the field failed; None if it was answered.
    files : tuple of str
        The files it was read from, with absolute paths; empty for planes that were never on a disk.
    stamps : tuple of FileStamp
        The state of each of these files when it was read; empty for a field that failed, and in results of versions
        that did not record it. For planes without files in napari: one stamp, with the SHA-256 of the planes.
    model_sha256 : str
        SHA-256 of the model file, in hexadecimal. Of an ensemble: of its models and views together, so that its results
        are not those of one of its models.
    device : str
        The device that ran the model, as the runtime reports it.
    time : str
        When the field was answered: ISO 8601 in UTC.
    notes : tuple of str
        What was done to the planes, and further remarks.
    scheme : str
        Name of the label scheme.
    classes : tuple of str
        Names of all classes of a scheme other than that of 2018.
    channels : tuple of str
        What red, green, blue and yellow were read from, as `hpa_sdk.Prediction.channels`; empty for a field that
        failed, and in results of versions that did not record it.
    warnings : tuple of str
        Why the answer may be wrong, as `hpa_sdk.Prediction.warnings`.
    flags : tuple of str
        The measures behind these warnings, such as ``"focus green"``; empty in results that were read from a table.
    disagreement : float or None
        How much the members of an ensemble disagree, as `hpa_sdk.Prediction.disagreement`.
    cells : CellCounts or None
        Its cells, counted; None if only the field was answered.
    models : tuple of str
        SHA-256 of each model file of an ensemble; empty for one model that ran once on the field.
    views : int
        How many views of the field each model ran on.
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
    scheme: str = HPA_2018.name
    classes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    disagreement: float | None = None
    cells: CellCounts | None = None
    models: tuple[str, ...] = ()
    views: int = 1

    @property
    def label_scheme(self) -> LabelScheme:
        """The classes that the model answers with."""
        return LabelScheme(self.scheme, self.classes) if self.classes else HPA_2018

    @property
    def read_channels(self) -> tuple[Channel, ...]:
        """The channels that the model takes: all, if it is not recorded."""
        if len(self.channels) != len(Channel):
            return tuple(Channel)
        return tuple(channel for channel, source in zip(Channel, self.channels, strict=True) if source != UNUSED)

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
        """Create the record of an answer, with the present time.

        Parameters
        ----------
        answer : Prediction or Failure
            The answer.
        model_sha256, device
            As the attributes.
        files : iterable of str or os.PathLike
            The files of a field that failed; a prediction has its own.
        notes : iterable of str
            Notes in addition to those of the prediction.
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
            channels=tuple(map(escaped, answer.channels)) if isinstance(answer, Prediction) else (),
            warnings=answer.warnings if isinstance(answer, Prediction) else (),
            flags=_flags(answer),
            disagreement=answer.disagreement if isinstance(answer, Prediction) else None,
        )
        if isinstance(answer, Failure):
            error = answer.error
            where = None if error.where is None else escaped(error.where)
            return replace(result, error=ResultError(escaped(error.what), where, escaped(error.remedy)))
        return replace(
            result,
            labels=tuple(label.hpa_name for label in answer),
            indices=tuple(map(int, answer)),
            # With the shortest digits: the float64 nearest to a float32 has further digits that were not computed.
            probabilities=tuple(float(str(probability)) for probability in answer.probabilities),
            thresholds=tuple(float(str(threshold)) for threshold in answer.thresholds),
            scheme=answer.scheme.name,
            classes=() if answer.scheme == HPA_2018 else answer.scheme.names,
        )

    @classmethod
    def by(
        cls,
        predictor: Answering,
        answer: Prediction | Failure,
        *,
        files: Iterable[str | os.PathLike[str]] = (),
        notes: Iterable[str] = (),
    ) -> Result:
        """Create the record of an answer of a predictor, with its models, views and device; else as `of`."""
        models, views = models_of(predictor), predictor.views
        made_by = ensemble_sha256(models, views)
        result = cls.of(answer, model_sha256=made_by, device=predictor.device, files=files, notes=notes)
        return replace(result, models=() if models == (made_by,) else models, views=views)

    def to_json(self) -> bytes:
        """Write the record as one line of JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes) -> Result:
        """Read a record that `to_json` wrote.

        Raises
        ------
        msgspec.DecodeError
            The text is not such a record.
        """
        return msgspec.json.decode(text, type=cls)

    def to_row(self, scheme: LabelScheme = HPA_2018) -> list[object]:
        """Return the record's row in a table with the columns `columns(scheme)`.

        The columns of `hpa_sdk.results.writers.CsvWriter` in their order and format, then those of a workstation.
        """
        return [
            self.id,
            ";".join(self.labels),
            " ".join(map(str, self.indices)),
            "" if self.error is None else str(self.error),
            *(self.probabilities or ("",) * len(scheme)),
            self.time,
            self.device,
            self.model_sha256,
            " ".join(self.models),
            self.views,
            joined_texts(self.files),
            joined_texts(self.notes),
            joined_stamps(self.stamps),
            joined_texts(self.channels),
            ";".join(self.warnings),
            "" if self.disagreement is None else self.disagreement,
            *scheme_cell(scheme),
        ]


def _flags(answer: Prediction | Failure) -> tuple[str, ...]:
    if isinstance(answer, Failure) or answer.quality is None:
        return ()
    return tuple(flag.measure for flag in answer.quality.flags)


def columns(scheme: LabelScheme = HPA_2018) -> tuple[str, ...]:
    """Return the columns of the table of results."""
    return (
        *FIRST_COLUMNS,
        *scheme.names,
        *("time", "device", "model_sha256", "models", "views"),
        *origin_columns(scheme),
    )
