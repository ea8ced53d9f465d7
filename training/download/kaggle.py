"""Makes a data set in the Kaggle form from the competition's own archive."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType

from hpa_sdk.errors import DownloadError, OutputError
from hpa_sdk.fields.tables import read_columns
from training.data.dataset import read_label_table
from training.download.kaggle_errors import raise_kaggle_errors, status_of
from training.download.kaggle_planes import check_planes, place_planes
from training.download.tables import LABEL_TABLE, PLANE_FOLDER, PlaneFailure, write_failures, write_label_table

COMPETITION = "human-protein-atlas-image-classification"
"""Kaggle's name of the set of 2018."""

COMPETITION_URL = f"https://www.kaggle.com/c/{COMPETITION}"
"""Address of its rules."""

FIELDS = 31_072
"""Labelled fields in the set."""

_PLANE_ARCHIVE = "train.zip"
_NOT_FOUND = 404


def download_kaggle(out: Path) -> tuple[PlaneFailure, ...]:
    """Fetch the labelled fields of the Kaggle set of 2018.

    kagglehub fetches into its own cache and resumes interrupted transfers there. Planes that are files in the cache
    are linked, not copied, if both folders are on the same disk. The folder appears when it is complete.

    Parameters
    ----------
    out : pathlib.Path
        Folder to make: ``train.csv``, ``train/<id>_<channel>.png``, and ``failures.csv`` if planes are missing.

    Returns
    -------
    tuple of PlaneFailure
        Planes that are missing, empty or, in the fields that were checked, not 512 x 512 grey pictures of 8 bits.
        Their fields are not in ``train.csv``.

    Raises
    ------
    DownloadError
        Kaggle refuses, can't be reached, or sends something else.
    OutputError
        The folder holds something already, or can't be written.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError("there is something already", where=out, remedy="Name a new folder, or delete this one.")
    table, planes = _fetch_set()
    targets = _read_targets(table)
    partial = out.with_name(f".{out.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    try:
        (partial / PLANE_FOLDER).mkdir(parents=True)
        failures = _fill(partial, planes, targets)
        if out.exists():
            out.rmdir()
        partial.replace(out)
    except OSError as error:
        raise OutputError(
            f"the set can't be put here ({error.strerror})", where=out, remedy="Free some space and run again."
        ) from error
    return failures


def _fill(folder: Path, planes: Path, targets: Mapping[str, str]) -> tuple[PlaneFailure, ...]:
    place_planes(planes, folder / PLANE_FOLDER, targets)
    failures = tuple(
        PlaneFailure(field_id, channel, COMPETITION_URL, reason)
        for field_id, channel, reason in check_planes(folder / PLANE_FOLDER, list(targets))
    )
    write_failures(folder, failures)
    failed = {failure.id for failure in failures}
    write_label_table(folder, ((field_id, target) for field_id, target in targets.items() if field_id not in failed))
    return failures


def _fetch_set() -> tuple[Path, Path]:
    """Return the label table, and the archive or the folder of the planes, in kagglehub's cache."""
    # kagglehub prints to the stdout that it finds at import; stdout is reserved for results.
    with raise_kaggle_errors(COMPETITION_URL), redirect_stdout(sys.stderr):
        kagglehub = _import_kagglehub()
        table = Path(kagglehub.competition_download(COMPETITION, path=LABEL_TABLE))
        try:
            return table, Path(kagglehub.competition_download(COMPETITION, path=_PLANE_ARCHIVE))
        except OSError as error:
            if status_of(error) != _NOT_FOUND:
                raise
        # If Kaggle has no such archive, the planes are single files of the whole set.
        whole = Path(kagglehub.competition_download(COMPETITION))
        archive = whole / _PLANE_ARCHIVE
        return table, archive if archive.is_file() else whole / PLANE_FOLDER


def _import_kagglehub() -> ModuleType:
    try:
        return import_module("kagglehub")
    except ImportError as error:
        raise DownloadError("kagglehub is not installed", remedy="Install it: pip install kagglehub") from error


def _read_targets(table: Path) -> dict[str, str]:
    ids, _ = read_label_table(table)
    if len(ids) != FIELDS:
        raise DownloadError(
            f"the table lists {len(ids):,} fields, not {FIELDS:,}",
            where=table,
            remedy="Delete this file and run again; if it stays so, Kaggle has changed the set.",
        )
    return {field_id: target for _, (field_id, target) in read_columns(table, "Id", "Target")}
