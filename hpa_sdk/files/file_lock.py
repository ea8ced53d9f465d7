"""Locks something for one process at a time, with a lock file next to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from hpa_sdk.errors import OutputError

_log = logging.getLogger("hpa_sdk")


@contextmanager
def hold_lock(
    lock_file: Path,
    *,
    busy: Callable[[], OutputError],
    no_lock: Callable[[Exception], OutputError],
    patience: float = 0,
) -> Iterator[None]:
    """Hold a lock file during the block. Fail if another process holds it.

    The operating system releases the lock when its process ends, for any reason. The lock file stays: removing it
    could break the lock of a process that is just starting.

    Parameters
    ----------
    lock_file : pathlib.Path
        The file to lock. Its folder must exist.
    busy : callable
        Returns the error to raise if another process holds the lock.
    no_lock : callable
        Returns the error to raise if the file can't be locked, from the error of the operating system.
    patience : float
        Seconds to wait for another process to release it.

    Raises
    ------
    OutputError
        One of these two errors.
    """
    lock = FileLock(lock_file)
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not patience:
                raise
            _log.warning("%s: another process holds this lock; waiting", lock_file)
            lock.acquire(timeout=patience)
    except Timeout as error:
        raise busy() from error
    except (OSError, NotImplementedError) as error:
        raise no_lock(error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def lock_beside(file: Path, *, what: str, busy: Callable[[], OutputError], patience: float = 0) -> Iterator[None]:
    """Lock a file during the block, by a lock file ``.<name>.lock`` beside it.

    Parameters
    ----------
    file : pathlib.Path
        The file to lock; it need not exist yet.
    what : str
        What it is, for messages.
    busy, patience
        As for `hold_lock`.

    Raises
    ------
    OutputError
        Another process holds the lock, the folder is missing, or no lock can be taken in it.
    """
    if not file.parent.is_dir():  # some versions of the lock would create it
        raise OutputError("the folder is missing", where=file, remedy="Make it, or name a file in another one.")
    with hold_lock(
        file.with_name(f".{file.name}.lock"),
        busy=busy,
        no_lock=lambda error: OutputError(
            f"no lock can be taken beside {what} ({error})",
            where=file,
            remedy="Name a file in a folder that you may write to, on a disk that knows locks.",
        ),
        patience=patience,
    ):
        yield
