"""Keeps the answers of a long run in one SQLite file as they come, so that a stop at any point loses none of them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from hpa_sdk.files.file_state import FileState, escaped
from hpa_sdk.files.sqlite_file import SqliteFile
from hpa_sdk.prediction import Prediction

_APPLICATION = 0x48504142
_VERSION = 2
_LONGEST_WAIT = 1.0  # seconds until an answer is safe from the end of the process

_TABLES = """
CREATE TABLE answers (
    place BLOB NOT NULL UNIQUE,
    fingerprint BLOB NOT NULL,
    device TEXT NOT NULL,
    probabilities BLOB NOT NULL,
    embedding BLOB NOT NULL,
    white BLOB NOT NULL,
    origin BLOB
);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_UPGRADES = {1: "ALTER TABLE answers ADD COLUMN origin BLOB;"}


class _Origin(msgspec.Struct):
    files: tuple[FileState, ...]
    notes: tuple[str, ...]


class CachedAnswer(NamedTuple):
    """An answer as the ledger has it.

    Attributes
    ----------
    fingerprint : bytes
        Of the settings and planes that it came from.
    device : str
        The device that made it.
    probabilities, embedding, white : numpy.ndarray
        As the attributes of a `Prediction`.
    files : tuple of FileState or None
        As the attribute of a `Prediction`; None for an answer of a version that did not keep it.
    notes : tuple of str
        As the attribute of a `Prediction`.
    """

    fingerprint: bytes
    device: str
    probabilities: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]
    white: npt.NDArray[np.float32]
    files: tuple[FileState, ...] | None
    notes: tuple[str, ...]


class AnswerLedger:
    """Predictions by the place of their field. For one thread at a time, of one process, which has the file for itself.

    Parameters
    ----------
    path : pathlib.Path
        The file; made where it is missing.

    Raises
    ------
    OutputError
        As for `SqliteFile`, here and from every method.
    """

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, tables=_TABLES, application=_APPLICATION, version=_VERSION, upgrades=_UPGRADES)
        self._new: dict[bytes, tuple[Any, ...]] = {}
        self._flushed_at = time.monotonic()

    def close(self) -> None:
        """Write what is still to be written, and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()

    def get(self, place: bytes) -> CachedAnswer | None:
        """Give the answer for a place."""
        row = self._new.get(place) or next(
            iter(
                self._file.rows(
                    "SELECT fingerprint, device, probabilities, embedding, white, origin FROM answers WHERE place = ?",
                    place,
                )
            ),
            None,
        )
        if row is None:
            return None
        fingerprint, device, *arrays, content = row
        probabilities, embedding, white = (np.frombuffer(array, "<f4") for array in arrays)
        origin = None if content is None else msgspec.json.decode(content, type=_Origin)
        files, notes = (None, ()) if origin is None else (origin.files, origin.notes)
        return CachedAnswer(fingerprint, device, probabilities, embedding, white, files, notes)

    def add(self, place: bytes, fingerprint: bytes, device: str, prediction: Prediction) -> None:
        """Note an answer; a second later at the latest, if more come, it is safe."""
        arrays = prediction.probabilities, prediction.embedding, prediction.white
        # A path can be no Unicode, which JSON refuses.
        files = tuple(replace(file, path=escaped(file.path)) for file in prediction.files)
        origin = msgspec.json.encode(_Origin(files, prediction.notes))
        self._new[place] = (fingerprint, device, *(array.astype("<f4").tobytes() for array in arrays), origin)
        if time.monotonic() - self._flushed_at >= _LONGEST_WAIT:
            self.flush()

    def replace_fact(self, name: str, value: str) -> str | None:
        """Note something under a name, and give what was noted there before."""
        rows = self._file.rows("SELECT value FROM facts WHERE name = ?", name)
        self._file.rows("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", name, value)
        return str(rows[0][0]) if rows else None

    def flush(self) -> None:
        """Write what is still to be written."""
        new = [(place, *row) for place, row in self._new.items()]
        self._file.add_rows("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", new)
        self._new = {}
        self._flushed_at = time.monotonic()
