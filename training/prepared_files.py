"""Says which files hold the prepared images of a data set, and which of its fields are in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from hpa_sdk.preprocessing import Preprocessing
from hpa_sdk.samples import Channel, Sample
from training.dataset import Dataset

PREPROCESSING = Preprocessing()
"""What images are prepared with."""

WHITE = 65535
"""The integer that is kept for the value 1."""

_FORMAT = 1
"""Raised whenever the files mean something else than before, so that older ones are not taken for new ones."""

Times = npt.NDArray[np.int64]
"""int64 of shape (fields, 4): when each plane was last written, in nanoseconds since 1970."""

_GONE = np.iinfo(np.int64).max
_UNPREPARED = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class PreparedFiles:
    """The files of one data set under one preprocessing.

    Attributes
    ----------
    images : pathlib.Path
        The images: uint16 of shape (fields, 299, 299, 3) in NPY form. There once all fields are prepared.
    partial : pathlib.Path
        The same, while it grows.
    record : pathlib.Path
        The `Times` of the planes that each row was made of. A row is noted here once it is safely on the disk.
    lock : pathlib.Path
        Held by the process that builds.
    """

    images: Path
    partial: Path
    record: Path
    lock: Path

    @classmethod
    def of(cls, dataset: Dataset, folder: Path) -> Self:
        """Name the files of a data set in a folder; other data, preprocessing or white level have other names."""
        white = dataset.white
        # 4095 and 4095.0 are one level.
        levels = white if white is None or isinstance(white, str) else np.asarray(white, np.float64).tolist()
        told = msgspec.json.encode((_FORMAT, dataset.fingerprint, PREPROCESSING, levels))
        key = hashlib.sha256(told).hexdigest()[:32]
        return cls(*(folder / f"{key}.{part}" for part in ("npy", "partial.npy", "record.npy", "lock")))

    def read_record(self, fields: int) -> Times:
        """Read the record; one that is not there, or can't be read, counts as empty."""
        try:
            return np.asarray(np.load(self.record))
        except (OSError, EOFError, ValueError):
            return np.full((fields, len(Channel)), _UNPREPARED)

    def unprepared(self, times: Times) -> npt.NDArray[np.intp]:
        """Give the rows of the fields that are not in the images, or whose planes have other times by now."""
        there = self.images.exists() or self.partial.exists()
        recorded = self.read_record(len(times)) if there else _UNPREPARED
        changed = (times != recorded) & ((times != _GONE) | (recorded == _UNPREPARED))
        return np.flatnonzero(changed.any(axis=1))

    def complete(self, times: Times) -> bool:
        """Say whether the images of all fields are there, made of the planes as they are now."""
        return self.images.exists() and len(self.unprepared(times)) == 0


def plane_times(samples: tuple[Sample, ...]) -> Times:
    """Look up when the planes were last written."""
    return np.array([[_time(file) for file in sample.files] for sample in samples], np.int64)


def _time(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return _GONE
