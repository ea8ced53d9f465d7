"""Makes sure that a file that is read more than once was the same file each time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpa_sdk.errors import ModelFileError
from hpa_sdk.files.file_state import FileStamp, stamp_of


def settled_stamp(path: Path) -> FileStamp | None:
    """Look at a file when every change from then on shows in its stamp; None where it can't be looked at."""
    stamp = _look(path)
    if stamp is not None and stamp.unsettled_seconds:
        # A change right after another one would leave the same times.
        time.sleep(stamp.unsettled_seconds)
        return _look(path)
    return stamp


def check_unchanged(path: Path, stamp: FileStamp | None) -> None:
    """Make sure that a file is what it was.

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
    """Make sure that a file that the block reads, as often as it likes, is one file.

    A file that is not there, or can't be looked at, is left for the block to complain of.

    Raises
    ------
    ModelFileError
        The file was written, replaced or removed meanwhile.
    """
    before = settled_stamp(path)
    yield
    check_unchanged(path, before)


def _look(path: Path) -> FileStamp | None:
    try:
        return stamp_of(path)
    except OSError:
        return None
