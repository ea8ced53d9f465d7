"""Writes a file completely or not at all, so that an interrupted run leaves no partial result."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpa_sdk.errors import OutputError

FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The `OSError` numbers for a full disk."""


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a partial file to write to. Move it to the final path if the block succeeds.

    The partial file is in the same folder as the final one (a move within one folder is atomic on POSIX and on NTFS).
    Its name starts with a dot and has the final suffix. If the block raises, the partial file is removed and the final
    path is unchanged.

    Parameters
    ----------
    path : str or os.PathLike
        The final path. Its folder must exist.

    Yields
    ------
    pathlib.Path
        The partial file, created and empty.

    Raises
    ------
    OutputError
        The folder is missing or not writable, the path is a folder, a pipe or a device, or the disk is full.
    """
    final = Path(path)
    if final == Path("-"):
        raise OutputError("only text goes to the standard output", where=final, remedy="Name a file to write.")
    try:
        if final.is_dir():
            raise OutputError("this is a folder, not a file", where=final, remedy="Name a file to write.")
        partial = final.with_name(f".{uuid.uuid4().hex[:8]}.{final.name}")
        if final.exists():
            if not final.is_file():
                raise OutputError("this is a pipe or a device, not a file", where=final, remedy="Name a file to write.")
            # Windows can't replace a file that another program has open. Better to fail now than after hours.
            final.open("r+b").close()
        partial.touch(exist_ok=False)
    except OSError as error:
        raise OutputError(
            f"no file can be written here ({error.strerror or error})",
            where=final,
            remedy="Name a file in an existing folder that you may write to, and that no program holds open.",
        ) from error
    try:
        yield partial
        _move(partial, final)
    except OSError as error:
        if error.errno in FULL_DISK:
            raise OutputError(
                "the disk is full",
                where=final,
                remedy="Free some space and run again: what stood here before is unchanged.",
            ) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def _move(partial: Path, final: Path) -> None:
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    try:
        partial.replace(final)
    except PermissionError as error:
        raise OutputError(
            "the file can't be replaced", where=final, remedy="Close the program that holds it open, and run again."
        ) from error
