"""Stores the answers of a run in one SQLite file as they arrive, so that an interruption loses none of them."""

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
from hpa_sdk.quality.quality import Quality

_APPLICATION = 0x48504142
_VERSION = 2
_LONGEST_WAIT = 1.0  # seconds until an answer is written, and so survives the end of the process

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


class _Source(msgspec.Struct):
    files: tuple[FileState, ...]
    notes: tuple[str, ...]
    channels: tuple[str, ...] = ()
    quality: Quality | None = None
    deviations: bytes = b""


class CachedAnswer(NamedTuple):
    """An answer as it is stored in the ledger.

    Attributes
    ----------
    fingerprint : bytes
        Of the settings and planes that it was computed from.
    device : str
        The device that made it.
    probabilities, embedding, white : numpy.ndarray
        As the attributes of a `Prediction`.
    files : tuple of FileState or None
        As the attribute of a `Prediction`; None for an answer of an earlier version, which did not store it.
    notes, channels, quality, deviations
        As the attributes of a `Prediction`.
    """

    fingerprint: bytes
    device: str
    probabilities: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]
    white: npt.NDArray[np.float32]
    files: tuple[FileState, ...] | None
    notes: tuple[str, ...]
    channels: tuple[str, ...]
    quality: Quality | None
    deviations: npt.NDArray[np.float32]


class AnswerLedger:
    """Predictions by the key of their field. For one thread at a time; one process has exclusive use of the file.

    Parameters
    ----------
    path : pathlib.Path
        The file; created if it is missing.

    Raises
    ------
    OutputError
        As for `SqliteFile`, here and from every method.
    """

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, tables=_TABLES, application=_APPLICATION, version=_VERSION, upgrades=_UPGRADES)
        self._pending: dict[bytes, tuple[Any, ...]] = {}
        self._flushed_at = time.monotonic()

    def close(self) -> None:
        """Write the pending answers, and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()

    def get(self, key: bytes) -> CachedAnswer | None:
        """Return the answer for a key; None if there is none."""
        row = self._pending.get(key) or next(
            iter(
                self._file.rows(
                    "SELECT fingerprint, device, probabilities, embedding, white, origin FROM answers WHERE place = ?",
                    key,
                )
            ),
            None,
        )
        if row is None:
            return None
        fingerprint, device, *arrays, content = row
        probabilities, embedding, white = (np.frombuffer(array, "<f4") for array in arrays)
        origin = None if content is None else msgspec.json.decode(content, type=_Source)
        known = origin or _Source((), ())
        return CachedAnswer(
            fingerprint,
            device,
            probabilities,
            embedding,
            white,
            files=None if origin is None else origin.files,
            notes=known.notes,
            channels=known.channels,
            quality=known.quality,
            deviations=np.frombuffer(known.deviations, "<f4"),
        )

    def add(self, key: bytes, fingerprint: bytes, device: str, prediction: Prediction) -> None:
        """Record an answer; if more answers follow, it is written after a second at the latest."""
        arrays = prediction.probabilities, prediction.embedding, prediction.white
        # A path may not be valid Unicode, which JSON requires.
        files = tuple(replace(file, path=escaped(file.path)) for file in prediction.files)
        channels = tuple(map(escaped, prediction.channels))
        deviations = prediction.deviations.astype("<f4").tobytes()
        origin = msgspec.json.encode(_Source(files, prediction.notes, channels, prediction.quality, deviations))
        self._pending[key] = (fingerprint, device, *(array.astype("<f4").tobytes() for array in arrays), origin)
        if time.monotonic() - self._flushed_at >= _LONGEST_WAIT:
            self.flush()

    def replace_fact(self, name: str, value: str) -> str | None:
        """Store a value under a name, and return the previous value."""
        rows = self._file.rows("SELECT value FROM facts WHERE name = ?", name)
        self._file.rows("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", name, value)
        return str(rows[0][0]) if rows else None

    def flush(self) -> None:
        """Write the pending answers."""
        rows = [(key, *row) for key, row in self._pending.items()]
        self._file.add_rows("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self._pending = {}
        self._flushed_at = time.monotonic()
