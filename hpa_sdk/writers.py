"""Writes answers as they come: CSV, JSON lines, or a Kaggle submission."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

import numpy as np

from hpa_sdk.labels import Label
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.whole_file import whole_file


class Writer(Protocol):
    """Writes one answer after the other."""

    def write(self, answer: Prediction | Failure) -> None:
        """Write one answer."""


class CsvWriter:
    """One row a field: id, labels, indices, error, then the probability of each class under its HPA name.

    Labels are joined with ``;`` and indices with a space. Probabilities are written with the digits that give the same
    float32 again.
    """

    def __init__(self, file: TextIO) -> None:
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(["id", "labels", "indices", "error", *(label.hpa_name for label in Label)])

    def write(self, answer: Prediction | Failure) -> None:
        """Write one answer."""
        if isinstance(answer, Failure):
            self._rows.writerow([answer.id, "", "", answer.error, *[""] * len(Label)])
        else:
            names = ";".join(label.hpa_name for label in answer)
            self._rows.writerow([answer.id, names, _indices(answer), "", *map(_digits, answer.probabilities)])


class JsonLinesWriter:
    """One JSON object a line: id, labels, probabilities by HPA name, and white levels; or id and error."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, answer: Prediction | Failure) -> None:
        """Write one answer."""
        if isinstance(answer, Failure):
            line: dict[str, object] = {"id": answer.id, "error": str(answer.error)}
        else:
            line = {
                "id": answer.id,
                "labels": [label.hpa_name for label in answer],
                "probabilities": {label.hpa_name: float(_digits(answer.probabilities[label])) for label in Label},
                "white": answer.white.tolist(),
            }
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


class KaggleWriter:
    """The form of a Kaggle submission: Id and Predicted, the class indices joined with a space.

    A field that failed has an empty Predicted.
    """

    def __init__(self, file: TextIO) -> None:
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow(["Id", "Predicted"])

    def write(self, answer: Prediction | Failure) -> None:
        """Write one answer."""
        self._rows.writerow([answer.id, "" if isinstance(answer, Failure) else _indices(answer)])


WRITERS: dict[str, Callable[[TextIO], Writer]] = {"csv": CsvWriter, "jsonl": JsonLinesWriter, "kaggle": KaggleWriter}
"""The formats by the names that the command line gives them."""


@contextmanager
def open_writer(path: Path, form: str) -> Iterator[Writer]:
    """Open a file of answers, which appears whole when the block ends well, or not at all.

    Parameters
    ----------
    path : pathlib.Path
        The file; UTF-8, lines end with a line feed.
    form : str
        A key of `WRITERS`.

    Raises
    ------
    OutputError
        No file can be written there.
    """
    # A file name that is no Unicode is written escaped, so that it costs no other field its row.
    with (
        whole_file(path) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        yield WRITERS[form](file)


def _indices(prediction: Prediction) -> str:
    return " ".join(str(int(label)) for label in prediction)


def _digits(probability: np.float32) -> str:
    return np.format_float_positional(probability, trim="-")
