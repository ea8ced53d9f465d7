"""Checks whether files that were just read are still those that a result was answered from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.field_source import Z_NOTE
from hpa_sdk.files.file_state import FileStamp, FileState
from hpa_sdk.results.result import Result


class ChangedError(HpaError):
    """The requested state no longer exists: files were changed, or a field was answered again."""


def check_unchanged(result: Result, read: Sequence[FileState], notes: Sequence[str]) -> None:
    """Check that the files of a result are unchanged since it was answered, and read with the same z rule.

    Parameters
    ----------
    result : Result
        The result. One without stamps, as earlier versions wrote it, can't be checked and passes.
    read : sequence of FileState
        The files that its planes were just read from, in their state at that time.
    notes : sequence of str
        What was done to read the planes.

    Raises
    ------
    ChangedError
        Another file was read, one of them is no longer the same, or other z planes were taken.
    """
    if not result.stamps:
        return
    answered_z, read_z = (set(Z_NOTE.findall("; ".join(some))) for some in (result.notes, notes))
    if answered_z != read_z:
        raise ChangedError(
            f"this field was answered from {', '.join(sorted(answered_z)) or 'another z'}, and is now read as"
            f" {', '.join(sorted(read_z)) or 'another z'}",
            where=result.files[0],
            remedy="Read it with the station file of the answer, or predict the field again.",
        )
    # The files may have been read through another name of their folder.
    answered = _by_path((os.path.realpath(path) for path in result.files), result.stamps)
    found = _by_path((os.path.realpath(file.path) for file in read), [file.stamp for file in read])
    if answered is None or found is None or not _same(answered, found):
        raise ChangedError(
            "the files were changed since this field was answered",
            where=result.files[0],
            remedy="Predict the field again to see these files with their own labels.",
        )


def resembles(result: Result, read: Sequence[FileState]) -> bool:
    """Return whether files of the same names, in any folder, have the sizes and times of a result's files.

    Parameters
    ----------
    result : Result
        The result; False for one without stamps.
    read : sequence of FileState
        The files that were read.
    """
    answered = _by_path(map(_name, result.files), result.stamps)
    found = _by_path((_name(file.path) for file in read), [file.stamp for file in read])
    if not answered or not found or answered.keys() != found.keys():
        return False
    return all(stamp.resembles(found[name]) for name, stamp in answered.items())


def _same(answered: dict[str, FileStamp], found: dict[str, FileStamp]) -> bool:
    return answered.keys() == found.keys() and all(stamp.matches(found[path]) for path, stamp in answered.items())


def _by_path(paths: Iterable[str], stamps: Sequence[FileStamp]) -> dict[str, FileStamp] | None:
    """Map paths to their stamps; None unless all paths differ and each has one stamp."""
    listed = list(paths)
    return dict(zip(listed, stamps, strict=True)) if len(set(listed)) == len(listed) == len(stamps) else None


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]
