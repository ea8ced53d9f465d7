"""Names the files with the prepared images of a data set, and finds which of its fields are in them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from hpa_sdk.fields.samples import Channel, Sample
from hpa_sdk.files.file_state import FileStamp, stamp_of
from hpa_sdk.preprocessing import Preprocessing
from training.data.dataset import Dataset
from training.network_forms import STUDY_PREPROCESSING

WHITE = 65535
"""The integer that is stored for the value 1."""

_FORMAT = 2
"""Increased when the meaning of the files changes, so that older files are not used as new ones."""

Stamps = npt.NDArray[np.int64]
"""int64 of shape (fields, files, 4): size, time of modification, inode and change time of each file (`FileStamp`).

The number of files is that of the field with the most files, at least four; fields with fewer are filled with zeros.
"""

_NUMBERS = 4
_GONE = np.iinfo(np.int64).max
_UNPREPARED = np.iinfo(np.int64).min
_UNKNOWN = -1
"""Stands for what a file system does not give, such as the change time on Windows."""


@dataclass(frozen=True, slots=True)
class PreparedFiles:
    """The files of one data set under one preprocessing.

    Attributes
    ----------
    images : pathlib.Path
        The images: uint16 of shape (fields, size, size, colours) in NPY form. It exists when all fields are prepared.
    partial : pathlib.Path
        The same file while it grows.
    record : pathlib.Path
        The `Stamps` of the planes of each row. A row is recorded here after it is synced to disk.
    lock : pathlib.Path
        Lock file, held by the process that builds.
    files_a_field : int
        How many files the record has room for in each field.
    preprocessing : Preprocessing
        How planes became the images.
    """

    images: Path
    partial: Path
    record: Path
    lock: Path
    files_a_field: int
    preprocessing: Preprocessing

    @classmethod
    def of(cls, dataset: Dataset, folder: Path, preprocessing: Preprocessing = STUDY_PREPROCESSING) -> Self:
        """Name the files of a data set in a folder.

        Other data, preprocessing or white level have other names, and so has the same data in another location: there
        only names and sizes indicate that the planes are the same.
        """
        white = dataset.white
        # 4095 and 4095.0 are the same level.
        levels = white if white is None or isinstance(white, str) else np.asarray(white, np.float64).tolist()
        identity = (_FORMAT, dataset.fingerprint, _hash_of_places(dataset.samples), preprocessing, levels)
        key = hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:32]
        images, partial, record, lock = (
            folder / f"{key}.{part}" for part in ("npy", "partial.npy", "record.npy", "lock")
        )
        return cls(images, partial, record, lock, _most_files(dataset.samples), preprocessing)

    def read_record(self, fields: int) -> Stamps:
        """Read the record; a missing or unreadable record counts as empty."""
        shape = (fields, self.files_a_field, _NUMBERS)
        try:
            record = np.asarray(np.load(self.record))
        except (OSError, EOFError, ValueError):
            return np.full(shape, _UNPREPARED)
        return record if record.shape == shape and record.dtype == np.int64 else np.full(shape, _UNPREPARED)

    def unprepared(self, stamps: Stamps) -> npt.NDArray[np.intp]:
        """Return the rows of the fields that are not in the images, or whose planes have changed."""
        there = self.images.exists() or self.partial.exists()
        recorded = self.read_record(len(stamps)) if there else np.full_like(stamps, _UNPREPARED)
        known = (stamps != _UNKNOWN) & (recorded != _UNKNOWN)
        changed = known & (stamps != recorded) & ((stamps != _GONE) | (recorded == _UNPREPARED))
        return np.flatnonzero(changed.any(axis=(1, 2)))

    def complete(self, stamps: Stamps) -> bool:
        """Return whether the images of all fields are there and match the current planes."""
        return self.images.exists() and len(self.unprepared(stamps)) == 0


def plane_stamps(samples: tuple[Sample, ...]) -> Stamps:
    """Return the current stamps of all planes, each looked at once."""
    stamps = np.zeros((len(samples), _most_files(samples), _NUMBERS), np.int64)
    for row, sample in zip(stamps, samples, strict=True):
        row[: len(sample.files)] = [_look(file) for file in sample.files]
    return stamps


def _most_files(samples: tuple[Sample, ...]) -> int:
    return max([len(Channel), *(len(sample.files) for sample in samples)])


def planes_sha256(samples: tuple[Sample, ...]) -> str:
    """Hash the current sizes and times of all planes, without inodes, which some servers renumber."""
    return hashlib.sha256(plane_stamps(samples)[..., [0, 1, 3]].astype("<i8").tobytes()).hexdigest()


def as_numbers(stamps: Iterable[FileStamp], files: int) -> npt.NDArray[np.int64]:
    """Return the stamps of a field's files as a row of `Stamps` for this number of files."""
    row = np.zeros((files, _NUMBERS), np.int64)
    # A file that was added since is found by the next look at all fields, which then has more files.
    for place, stamp in zip(row, stamps, strict=False):
        place[:] = _numbers(stamp)
    return row


def _look(file: Path) -> list[int]:
    try:
        return _numbers(stamp_of(file))
    except OSError:
        return [_GONE] * _NUMBERS


def _numbers(stamp: FileStamp) -> list[int]:
    numbers = stamp.size, stamp.modified, stamp.inode, stamp.changed
    return [_UNKNOWN if number is None else number for number in numbers]


def _hash_of_places(samples: tuple[Sample, ...]) -> str:
    """Hash the locations of all planes; links to their folders are followed, so that one location has one hash."""
    digest = hashlib.sha256()
    followed: dict[str, str] = {}
    for sample in samples:
        for file in sample.files:
            # Not a Path for each plane: there can be a hundred thousand.
            folder, name = os.path.split(file)
            if folder not in followed:
                followed[folder] = os.path.realpath(folder)
            digest.update(f"{followed[folder]}\0{name}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
