"""Makes sure that a file does not change between several reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpa_sdk.errors import ModelFileError
from hpa_sdk.files.file_state import FileStamp, stamp_of


def stable_stamp(path: Path) -> FileStamp | None:
    """Return the stamp of a file at a time when every later change changes the stamp; None if it can't be read."""
    stamp = _look(path)
    if stamp is not None and stamp.unsettled_seconds:
        # Two changes in quick succession could have the same times.
        time.sleep(stamp.unsettled_seconds)
        return _look(path)
    return stamp


def check_unchanged(path: Path, stamp: FileStamp | None) -> None:
    """Make sure that a file has not changed.

    Raises
    ------
    ModelFileError
        It was written, replaced or removed since.
    """
    if _look(path) != stamp:
        raise ModelFileError(
            "the file was changed while it was read",
            where=path,
            remedy="Nothing was written. Run again when nobody writes to it any more.",
        )


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """Make sure that a file does not change while the block reads it, once or several times.

    If the file is missing or can't be read, the block has to raise the error.

    Raises
    ------
    ModelFileError
        The file was written, replaced or removed in the meantime.
    """
    before = stable_stamp(path)
    yield
    check_unchanged(path, before)


def _look(path: Path) -> FileStamp | None:
    try:
        return stamp_of(path)
    except OSError:
        return None
