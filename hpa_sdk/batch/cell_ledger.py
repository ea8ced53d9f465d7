"""Stores the answers for the cells of each field in one SQLite file, so that an interruption loses none of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from hpa_sdk.batch.row_ledger import RowLedger
from hpa_sdk.cells.cell import Cell, CellAnswers, Segmentation
from hpa_sdk.cells.packing import pack_labels, pack_mask, unpack_labels, unpack_mask
from hpa_sdk.files.file_state import FileState, escaped
from hpa_sdk.prediction import Prediction
from hpa_sdk.quality.quality import Quality

_APPLICATION = 0x48504143
_VERSION = 1

_NAMES = ("fingerprint", "device", "probabilities", "embeddings", "white", "labels", "facts")
_COLUMNS = {name: "TEXT NOT NULL" if name == "device" else "BLOB NOT NULL" for name in _NAMES}


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
    nuclei: bytes | None = None


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


class CellLedger(RowLedger):
    """Answers for cells by the key of their field: see `RowLedger`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, table="fields", columns=_COLUMNS, application=_APPLICATION, version=_VERSION)

    def get(self, key: bytes) -> StoredCells | None:
        """Return the cells of a field; None if there are none."""
        row = self._row(key)
        if row is None:
            return None
        fingerprint, device, probabilities, embeddings, white, labels, content = row
        facts = msgspec.json.decode(content, type=_Facts)
        count = len(facts.cells)
        segmentation = Segmentation(
            labels=unpack_labels(labels, facts.shape),
            cells=facts.cells,
            pixel_size=facts.pixel_size,
            source=facts.source,
            notes=facts.found,
            nuclei=None if facts.nuclei is None else unpack_mask(facts.nuclei, facts.shape),
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
            nuclei=None if found.nuclei is None else pack_mask(found.nuclei),
        )
        arrays = (
            np.stack([one.probabilities for one in predictions]),
            np.stack([one.embedding for one in predictions]),
            first.white,
        )
        self._record(
            key,
            *(fingerprint, device, *(array.astype("<f4").tobytes() for array in arrays)),
            pack_labels(found.labels),
            msgspec.json.encode(facts),
        )
