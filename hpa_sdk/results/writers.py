"""Writes answers as they arrive: CSV, JSON lines, Parquet, or a Kaggle submission."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import OutputError
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.files.file_state import FileStamp, escaped
from hpa_sdk.labels import HPA_2018, LabelScheme
from hpa_sdk.prediction import Failure, Prediction

FIRST_COLUMNS = ("id", "labels", "indices", "error")
"""The columns of tables before those of the classes."""

ORIGIN_COLUMNS = ("files", "notes", "stamps", "channels", "warnings", "disagreement")
"""Columns of tables: the files that were read, what was done to their planes, the state of the files then, what in them
is each channel, why the answer may be wrong, and how much the members of an ensemble disagree."""

SCHEME_COLUMN = "scheme"
"""The last column of tables whose classes are not those of 2018: the name of the label scheme."""


def origin_columns(scheme: LabelScheme) -> tuple[str, ...]:
    """Return the columns of tables after those of the classes."""
    return ORIGIN_COLUMNS if scheme == HPA_2018 else (*ORIGIN_COLUMNS, SCHEME_COLUMN)


def scheme_cell(scheme: LabelScheme) -> tuple[str, ...]:
    """Return the cell of `SCHEME_COLUMN`, for a table that has the column."""
    return () if scheme == HPA_2018 else (scheme.name,)


class Writer(Protocol):
    """Writes one answer after the other."""

    def write(self, answer: Prediction | Failure) -> None:
        """Write one answer."""


class CsvWriter:
    """One row per field: id, labels, indices, error, probability of each class under its name, `origin_columns`.

    Labels and warnings are joined with ``;`` and indices with a space. Probabilities are written with the digits
    that reproduce the float32. Files are those that were read, with absolute paths, and stamps their state then: see
    `joined_texts` and `joined_stamps`.
    """

    def __init__(self, file: TextIO, scheme: LabelScheme) -> None:
        self._scheme = scheme
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow([*FIRST_COLUMNS, *scheme.names, *origin_columns(scheme)])

    def write(self, answer: Prediction | Failure) -> None:
        """Write one answer."""
        self._rows.writerow(csv_row(answer, self._scheme))


def csv_row(answer: Prediction | Failure, scheme: LabelScheme) -> list[object]:
    """Return the values of one row of `CsvWriter`."""
    if isinstance(answer, Failure):
        empty = [""] * (len(scheme) + len(ORIGIN_COLUMNS))
        return [answer.id, "", "", answer.error, *empty, *scheme_cell(scheme)]
    names = ";".join(label.hpa_name for label in answer)
    paths = joined_texts([file.path for file in answer.files])
    stamps = joined_stamps(file.stamp for file in answer.files)
    origin = paths, joined_texts(answer.notes), stamps, joined_texts(answer.channels)
    doubts = ";".join(answer.warnings), answer.disagreement
    row = [answer.id, names, _indices(answer), "", *_digits(answer.probabilities), *origin, *doubts]
    return [*row, *scheme_cell(scheme)]


class JsonLinesWriter:
    """One JSON object per line: id, labels, probabilities by name, origin, quality, disagreement; or id and error."""

    def __init__(self, file: TextIO, scheme: LabelScheme) -> None:
        self._file = file
        self._scheme = scheme

    def write(self, answer: Prediction | Failure) -> None:
        """Write one answer."""
        self._file.write(json.dumps(json_row(answer, self._scheme), ensure_ascii=False) + "\n")


def json_row(answer: Prediction | Failure, scheme: LabelScheme) -> dict[str, object]:
    """Return the object of one line of `JsonLinesWriter`."""
    if isinstance(answer, Failure):
        return {"id": escaped(answer.id), "error": escaped(str(answer.error))}
    return {
        "id": escaped(answer.id),
        "labels": [label.hpa_name for label in answer],
        "probabilities": dict(zip(scheme.names, map(float, _digits(answer.probabilities)), strict=True)),
        "white": answer.white.tolist(),
        "files": [escaped(file.path) for file in answer.files],
        "notes": list(map(escaped, answer.notes)),
        "stamps": [file.stamp for file in answer.files],
        "channels": list(map(escaped, answer.channels)),
        "warnings": answer.warnings,
        "quality": None if answer.quality is None else answer.quality.measures,
        "disagreement": answer.disagreement,
        "deviations": dict(zip(scheme.names, map(float, _digits(answer.deviations)), strict=False)),
        **dict(zip((SCHEME_COLUMN,), scheme_cell(scheme), strict=False)),
    }


class KaggleWriter:
    """The form of a Kaggle submission: Id and Predicted, the class indices joined with a space.

    A field that failed has an empty Predicted.

    Raises
    ------
    OutputError
        The classes are not those of 2018, whose indices the form means.
    """

    def __init__(self, file: TextIO, scheme: LabelScheme) -> None:
        if scheme != HPA_2018:
            raise OutputError(
                f"the Kaggle form means the {len(HPA_2018)} classes of 2018, and the model answers with {scheme.name}",
                remedy="Choose another --format.",
            )
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(["Id", "Predicted"])

    def write(self, answer: Prediction | Failure) -> None:
        """Write one answer."""
        self._rows.writerow([answer.id, "" if isinstance(answer, Failure) else _indices(answer)])


WRITERS: dict[str, Callable[[TextIO, LabelScheme], Writer]] = {
    "csv": CsvWriter,
    "jsonl": JsonLinesWriter,
    "kaggle": KaggleWriter,
}
"""The formats of text by the names that the command line gives them."""

FORMS = (*WRITERS, "parquet")
"""All formats of files. They are also the file extensions, except that of Kaggle."""


class ParquetWriter:
    """The columns of `CsvWriter`, then white, embedding and deviations; lists are lists, and missing values are null.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    scheme : LabelScheme
        The classes.
    further : callable, optional
        Returns further columns, which `write_row` fills, for the package pyarrow.

    Raises
    ------
    OutputError
        pyarrow is not installed.
    """

    _ROWS = 1000

    def __init__(self, path: Path, scheme: LabelScheme, further: Callable[[Any], dict[str, Any]] | None = None) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra that only this needs
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError as error:
            raise OutputError(
                "Parquet files need pyarrow, which is not installed",
                where=path,
                remedy="Install it with pip install 'hpa-sdk[parquet]', or choose another --format.",
            ) from error
        self._scheme = scheme
        numbers = pa.list_(pa.float32())
        # The indices of the 28 classes fit in 8 bits; a lab's own scheme can have more.
        index = pa.int8() if scheme == HPA_2018 else pa.int16()
        self._schema = pa.schema(
            [
                ("id", pa.string()),
                *(further(pa) if further else {}).items(),
                *(("labels", pa.list_(pa.string())), ("indices", pa.list_(index))),
                *(("error", pa.string()), *((name, pa.float32()) for name in scheme.names)),
                *((name, pa.list_(pa.string())) for name in ORIGIN_COLUMNS[:-1]),
                *((ORIGIN_COLUMNS[-1], pa.float32()), ("white", numbers), ("embedding", numbers)),
                ("deviations", numbers),
                *((SCHEME_COLUMN, pa.string()) for _ in scheme_cell(scheme)),
            ]
        )
        self._file = parquet.ParquetWriter(path, self._schema)
        self._batch_of = pa.RecordBatch.from_pylist
        self._waiting: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                self._write_waiting()

    def write(self, answer: Prediction | Failure) -> None:
        """Write one answer."""
        self.write_row(answer, {})

    def write_row(self, answer: Prediction | Failure, further: dict[str, Any]) -> None:
        """Write one answer, and the values of further columns by their names."""
        row: dict[str, Any] = {"id": escaped(answer.id), **further}
        row |= zip((SCHEME_COLUMN,), scheme_cell(self._scheme), strict=False)
        if isinstance(answer, Failure):
            row["error"] = escaped(str(answer.error))
        else:
            row |= zip(self._scheme.names, answer.probabilities, strict=True)
            row |= {"labels": [label.hpa_name for label in answer], "indices": [int(label) for label in answer]}
            row |= {"white": answer.white, "embedding": answer.embedding}
            row |= {"files": [escaped(file.path) for file in answer.files]}
            row |= {
                "notes": list(map(escaped, answer.notes)),
                "stamps": [file.stamp.to_text() for file in answer.files],
            }
            row |= {"channels": list(map(escaped, answer.channels)), "warnings": list(answer.warnings)}
            row |= {"disagreement": answer.disagreement, "deviations": answer.deviations}
        self._waiting.append(row)
        if len(self._waiting) == self._ROWS:
            self._write_waiting()

    def _write_waiting(self) -> None:
        self._file.write_batch(self._batch_of(self._waiting, schema=self._schema))
        self._waiting = []


@contextmanager
def open_writer(path: Path, form: str, scheme: LabelScheme = HPA_2018) -> Iterator[Writer]:
    """Open a file of answers, which appears complete when the block ends without an error, or not at all.

    Parameters
    ----------
    path : pathlib.Path
        The file; UTF-8, lines end with a line feed.
    form : str
        One of `FORMS`.
    scheme : LabelScheme
        The classes that the model answers with.

    Raises
    ------
    OutputError
        No file can be written there, or not in this format.
    """
    with atomic_write(path) as partial:
        if form == "parquet":
            with ParquetWriter(partial, scheme) as writer:
                yield writer
        else:
            # A file name that is not valid Unicode is written escaped, so that no row is lost.
            with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                yield WRITERS[form](file, scheme)


def joined_texts(texts: Sequence[str]) -> str:
    """Join paths, names or notes with ``;`` for a table; as a JSON list if one could be read as several."""
    if any(";" in text or text.startswith("[") for text in texts):
        return json.dumps(list(map(escaped, texts)), ensure_ascii=False)
    return ";".join(texts)


def joined_stamps(stamps: Iterable[FileStamp]) -> str:
    """Join stamps, each as `FileStamp.to_text` writes it, with ``;`` for a table."""
    return ";".join(stamp.to_text() for stamp in stamps)


def _indices(prediction: Prediction) -> str:
    return " ".join(str(int(label)) for label in prediction)


def _digits(probabilities: npt.NDArray[np.float32]) -> list[str]:
    # All at once is twice as fast; the few with an exponent or a bare ".0" are converted again.
    texts: list[str] = probabilities.astype(str).tolist()
    return [
        np.format_float_positional(probability, trim="-") if "e" in text or text.endswith(".0") else text
        for text, probability in zip(texts, probabilities, strict=True)
    ]
