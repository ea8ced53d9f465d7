"""Stores the answers for the cells of each field in one SQLite file, so that an interruption loses none of them."""

from __future__ import annotations

import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.cell import Cell, CellAnswers, Segmentation
from hpa_sdk.files.file_state import FileState, escaped
from hpa_sdk.files.sqlite_file import SqliteFile
from hpa_sdk.prediction import Prediction
from hpa_sdk.quality.quality import Quality

_APPLICATION = 0x48504143
_VERSION = 1
_LONGEST_WAIT = 1.0  # seconds until an answer is written, and so survives the end of the process
_FAST = 1

_TABLES = """
CREATE TABLE fields (
    place BLOB NOT NULL UNIQUE,
    fingerprint BLOB NOT NULL,
    device TEXT NOT NULL,
    probabilities BLOB NOT NULL,
    embeddings BLOB NOT NULL,
    white BLOB NOT NULL,
    labels BLOB NOT NULL,
    facts BLOB NOT NULL
);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class _Facts(msgspec.Struct):
    shape: tuple[int, int]
    cells: tuple[Cell, ...]
    pixel_size: float | None
    source: str
    found: tuple[str, ...]
    files: tuple[FileState, ...]
    notes: tuple[tuple[str, ...], ...]
    channels: tuple[str, ...]
    quality: Quality | None
    deviations: bytes = b""


class StoredCells(NamedTuple):
    """The cells of a field as they are stored.

    Attributes
    ----------
    fingerprint : bytes
        Of the settings and planes that they were computed from.
    device : str
        The device that made the answers.
    segmentation : Segmentation
        The cells.
    probabilities, embeddings : numpy.ndarray
        float32 of shape (cells, classes) and (cells, width).
    white : numpy.ndarray
        As the attribute of a `Prediction`.
    files : tuple of FileState
        The files, with their state when they were read.
    notes : tuple of tuple of str
        For each cell.
    channels, quality
        As the attributes of a `Prediction`.
    deviations : numpy.ndarray
        float32 of shape (cells, classes); (cells, 0) of one view.
    """

    fingerprint: bytes
    device: str
    segmentation: Segmentation
    probabilities: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float32]
    white: npt.NDArray[np.float32]
    files: tuple[FileState, ...]
    notes: tuple[tuple[str, ...], ...]
    channels: tuple[str, ...]
    quality: Quality | None
    deviations: npt.NDArray[np.float32]


class CellLedger:
    """Answers for cells by the key of their field. For one thread at a time; one process has the file for itself.

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
        self._file = SqliteFile(path, tables=_TABLES, application=_APPLICATION, version=_VERSION)
        self._pending: dict[bytes, tuple[Any, ...]] = {}
        self._flushed_at = time.monotonic()

    def close(self) -> None:
        """Write the pending answers, and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()

    def get(self, key: bytes) -> StoredCells | None:
        """Return the cells of a field; None if there are none."""
        columns = "fingerprint, device, probabilities, embeddings, white, labels, facts"
        found = self._file.rows(f"SELECT {columns} FROM fields WHERE place = ?", key)  # noqa: S608 - names from above
        row = self._pending.get(key) or next(iter(found), None)
        if row is None:
            return None
        fingerprint, device, probabilities, embeddings, white, labels, content = row
        facts = msgspec.json.decode(content, type=_Facts)
        count = len(facts.cells)
        segmentation = Segmentation(
            labels=np.frombuffer(zlib.decompress(labels), "<i4").reshape(facts.shape),
            cells=facts.cells,
            pixel_size=facts.pixel_size,
            source=facts.source,
            notes=facts.found,
        )
        return StoredCells(
            fingerprint,
            device,
            segmentation,
            np.frombuffer(probabilities, "<f4").reshape(count, -1),
            np.frombuffer(embeddings, "<f4").reshape(count, -1),
            np.frombuffer(white, "<f4"),
            facts.files,
            facts.notes,
            facts.channels,
            facts.quality,
            np.frombuffer(facts.deviations, "<f4").reshape(count, -1),
        )

    def add(
        self, key: bytes, fingerprint: bytes, device: str, answers: CellAnswers, predictions: list[Prediction]
    ) -> None:
        """Record the cells of a field; if more follow, they are written after a second at the latest.

        Parameters
        ----------
        key, fingerprint : bytes
            Of the field.
        device : str
            The device that made the answers.
        answers : CellAnswers
            The cells.
        predictions : list of Prediction
            Their answers, at least one: a field with a failed cell is not recorded.
        """
        first, found = predictions[0], answers.segmentation
        facts = _Facts(
            shape=(found.labels.shape[0], found.labels.shape[1]),
            cells=found.cells,
            pixel_size=found.pixel_size,
            source=escaped(found.source),
            found=tuple(map(escaped, found.notes)),
            # A path may not be valid Unicode, which JSON requires.
            files=tuple(replace(file, path=escaped(file.path)) for file in first.files),
            notes=tuple(tuple(map(escaped, one.notes)) for one in predictions),
            channels=tuple(map(escaped, first.channels)),
            quality=first.quality,
            deviations=np.stack([one.deviations for one in predictions]).astype("<f4").tobytes(),
        )
        arrays = (
            np.stack([one.probabilities for one in predictions]),
            np.stack([one.embedding for one in predictions]),
            first.white,
        )
        self._pending[key] = (
            *(fingerprint, device, *(array.astype("<f4").tobytes() for array in arrays)),
            zlib.compress(found.labels.astype("<i4").tobytes(), _FAST),
            msgspec.json.encode(facts),
        )
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
        self._file.add_rows("INSERT OR REPLACE INTO fields VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self._pending = {}
        self._flushed_at = time.monotonic()
