"""Builds a file of prepared images; the build can be stopped and resumed at any moment."""

from __future__ import annotations

import io
import logging
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout
from tqdm import tqdm

from hpa_sdk.errors import OutputError, PlaneError
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.samples import Sample
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.inference.pipeline import run_in_batches
from hpa_sdk.inference.threads import usable_cores
from hpa_sdk.models.contract import image_shape
from hpa_sdk.prediction import Failure
from hpa_sdk.preprocessing import Preprocessing, White
from training.data.dataset import Dataset
from training.data.prepared_files import WHITE, PreparedFiles, as_numbers, plane_stamps
from training.errors import output_errors

_FIELDS_A_FLUSH = 64
"""34 MB: a stop loses little, they fit into memory, and waiting for the disk costs little time."""

_REMEDY = "Fix that (free some space, or name another folder) and prepare again, which resumes the build."
_STORED = np.dtype("<u2")

_Encoded = tuple[int, npt.NDArray[np.uint16], list[FileStamp]]
"""A row, its image as it is stored, and the states of its files when they were read."""

_size = partial(tqdm.format_sizeof, suffix="B")
_log = logging.getLogger("training")


def build(dataset: Dataset, files: PreparedFiles, *, workers: int | None) -> None:
    """Prepare the fields that are not prepared yet; the finished file of images appears when all are.

    Parameters
    ----------
    dataset : Dataset
        The fields.
    files : PreparedFiles
        Where they go.
    workers : int, optional
        Threads that decode. Default: one a processor core.

    Raises
    ------
    PlaneError
        Some fields can't be read; all others are prepared.
    OutputError
        The folder can't be written to, or there is not enough space.
    """
    samples, folder = dataset.samples, files.images.parent
    with output_errors("prepared images", folder, remedy=_REMEDY):
        folder.mkdir(parents=True, exist_ok=True)
        with _only_builder(files.lock):
            stamps = plane_stamps(samples)
            if files.complete(stamps):
                return
            _clear(files)
            _check_space(files, len(samples))
            failures = _prepare_rows(dataset, files.unprepared(stamps), files, workers or usable_cores())
            if not failures:
                files.partial.replace(files.images)
    if failures:
        raise _all_failures(failures, len(samples), folder)


def _clear(files: PreparedFiles) -> None:
    """Remove what no build can use: finished images of changed planes, and partial records of a killed process."""
    if not files.partial.exists():
        files.record.unlink(missing_ok=True)
        files.images.unlink(missing_ok=True)
    for left in files.record.parent.glob(f".*.{files.images.stem}.*"):
        left.unlink()


def _check_space(files: PreparedFiles, fields: int) -> None:
    folder = files.partial.parent
    there = files.partial.stat().st_size if files.partial.exists() else 0
    needed, free = fields * _row_bytes(files) - there, shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"the images of {fields:,} fields need {_size(needed)} more and {_size(free)} are free",
            where=folder,
            remedy="Free some space (files of data that has changed since are never used again), or name a folder on"
            " another disk.",
        )


def _prepare_rows(dataset: Dataset, rows: npt.NDArray[np.intp], files: PreparedFiles, workers: int) -> list[Failure]:
    """Write the images of the fields that are not in the partial file yet; give the fields that can't be read."""
    with _PartialImages(files, len(dataset.samples)) as images:
        outcomes = run_in_batches(
            ((row, dataset.samples[row]) for row in rows.tolist()),
            prepare=partial(_decode, files.preprocessing, dataset.white),
            run=images.keep,
            batch_size=_FIELDS_A_FLUSH,
            workers=workers,
        )
        total = len(dataset.samples)
        shown = tqdm(outcomes, initial=total - len(rows), total=total, unit="field", disable=None)
        return [outcome for outcome in shown if isinstance(outcome, Failure)]


def _row_bytes(files: PreparedFiles) -> int:
    return math.prod(image_shape(files.preprocessing)) * _STORED.itemsize


def _decode(preprocessing: Preprocessing, white: White | None, field: tuple[int, Sample]) -> _Encoded | Failure:
    row, sample = field
    try:
        read = read_field(sample)
        image = preprocessing(read.planes, white=white, where=sample.files[0])
    except PlaneError as error:
        return Failure(sample.id, error)
    stamps = [file.stamp for file in read.files]
    return row, np.rint(image * np.float32(WHITE)).astype(_STORED), stamps


class _PartialImages:
    """The file of images while it grows; not a memory map, under which a full disk kills the process."""

    def __init__(self, files: PreparedFiles, fields: int) -> None:
        header = _header(fields, image_shape(files.preprocessing))
        if not files.partial.exists():
            with atomic_write(files.partial) as start:
                start.write_bytes(header)
        self._first, self._row_bytes = len(header), _row_bytes(files)
        self._file = files.partial.open("rb+")
        self._record_path = files.record
        self._record = files.read_record(fields)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def keep(self, encoded: list[_Encoded]) -> list[int]:
        """Write some rows, and record them after they are synced to disk."""
        for row, image, _ in encoded:
            self._file.seek(self._first + row * self._row_bytes)
            self._file.write(image.data)
        self._file.flush()
        os.fsync(self._file.fileno())
        for row, _, stamps in encoded:
            # Their states when read, which can be later than the check of all planes at the start of a build.
            self._record[row] = as_numbers(stamps, self._record.shape[1])
        with atomic_write(self._record_path) as record:
            np.save(record, self._record)
        return [row for row, *_ in encoded]


def _header(fields: int, shape: tuple[int, ...]) -> bytes:
    """Return the first bytes of an NPY file of images."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": _STORED.str, "fortran_order": False, "shape": (fields, *shape)}
    )
    return header.getvalue()


def _all_failures(failures: list[Failure], fields: int, folder: Path) -> PlaneError:
    lines = "".join(f"\n  {failure.id}: {failure.error.where}: {failure.error.what}" for failure in failures)
    remedies = " ".join(dict.fromkeys(failure.error.remedy for failure in failures))
    return PlaneError(
        f"{len(failures):,} of {fields:,} fields can't be prepared; the others are:{lines}\n",
        where=folder,
        remedy=f"{remedies} Or take these fields out of the table; then prepare again.",
    )


@contextmanager
def _only_builder(lock_file: Path) -> Iterator[None]:
    lock = FileLock(lock_file)
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        _log.warning("%s: another process prepares the same images; this one waits for it.", lock_file)
        held = lock.acquire()
    with held:
        yield
