"""Checks whether files that were just read are still those that a result was answered from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.field_source import Z_NOTE
from hpa_sdk.fields.reading import UNUSED
from hpa_sdk.fields.samples import Channel, FieldPlanes
from hpa_sdk.files.file_state import FileStamp, FileState, escaped
from hpa_sdk.results.result import Result


class ChangedError(HpaError):
    """The requested state no longer exists: files were changed, or a field was answered again."""


def check_unchanged(result: Result, field: FieldPlanes) -> None:
    """Check that the files of a result are unchanged since it was answered, and that the same of them was read.

    Parameters
    ----------
    result : Result
        The result. One without stamps, as earlier versions wrote it, can't be checked and passes.
    field : FieldPlanes
        Its planes, as they were just read.

    Raises
    ------
    ChangedError
        Another file was read, one of them is no longer the same, or other channels or z planes of them were taken.
    """
    if not result.stamps:
        return
    check_reading(result, field)
    # The files may have been read through another name of their folder.
    answered = _by_path((os.path.realpath(path) for path in result.files), result.stamps)
    found = _by_path((os.path.realpath(file.path) for file in field.files), [file.stamp for file in field.files])
    if answered is None or found is None or not _same(answered, found):
        raise ChangedError(
            "the files were changed since this field was answered",
            where=result.files[0],
            remedy="Predict the field again to see these files with their own labels.",
        )


def check_reading(result: Result, field: FieldPlanes) -> None:
    """Check that the channels and z planes of a field are those that a result was answered from.

    Parameters
    ----------
    result : Result
        The result. Channels that it does not name, as in earlier versions, can't be checked and pass.
    field : FieldPlanes
        The planes of its files or of a copy of them.

    Raises
    ------
    ChangedError
        Other channels or z planes were taken.
    """
    answered_z, read_z = (set(Z_NOTE.findall("; ".join(some))) for some in (result.notes, field.notes))
    if answered_z != read_z:
        raise _other_reading(
            result,
            f"from {', '.join(sorted(answered_z)) or 'another z'}",
            f"as {', '.join(sorted(read_z)) or 'another z'}",
        )
    channels = zip(Channel, result.channels, map(escaped, field.channels), strict=False)
    for channel, answered, read in channels:
        if answered not in {read, UNUSED}:
            raise _other_reading(result, f"with {channel} from {answered}", f"with {channel} from {read}")


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


def _other_reading(result: Result, answered: str, read: str) -> ChangedError:
    return ChangedError(
        f"this field was answered {answered}, and is now read {read}",
        where=result.files[0],
        remedy="Read it with the station file of the answer, or predict the field again.",
    )


def _same(answered: dict[str, FileStamp], found: dict[str, FileStamp]) -> bool:
    return answered.keys() == found.keys() and all(stamp.matches(found[path]) for path, stamp in answered.items())


def _by_path(paths: Iterable[str], stamps: Sequence[FileStamp]) -> dict[str, FileStamp] | None:
    """Map paths to their stamps; None unless all paths differ and each has one stamp."""
    listed = list(paths)
    return dict(zip(listed, stamps, strict=True)) if len(set(listed)) == len(listed) == len(stamps) else None


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]
