"""Stores the answers of a run in one SQLite file as they arrive, so that an interruption loses none of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from hpa_sdk.batch.row_ledger import RowLedger
from hpa_sdk.files.file_state import FileState, escaped
from hpa_sdk.prediction import Prediction
from hpa_sdk.quality.quality import Quality

_APPLICATION = 0x48504142
_VERSION = 2

_COLUMNS = {
    "fingerprint": "BLOB NOT NULL",
    "device": "TEXT NOT NULL",
    "probabilities": "BLOB NOT NULL",
    "embedding": "BLOB NOT NULL",
    "white": "BLOB NOT NULL",
    "origin": "BLOB",
}
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


class AnswerLedger(RowLedger):
    """Predictions by the key of their field: see `RowLedger`."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            table="answers",
            columns=_COLUMNS,
            application=_APPLICATION,
            version=_VERSION,
            upgrades=_UPGRADES,
        )

    def get(self, key: bytes) -> CachedAnswer | None:
        """Return the answer for a key; None if there is none."""
        row = self._row(key)
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
        self._record(key, fingerprint, device, *(array.astype("<f4").tobytes() for array in arrays), origin)
