"""Lets one process at a time hold a thing, by a lock file beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from hpa_sdk.errors import OutputError


@contextmanager
def hold_lock(
    lock_file: Path, *, busy: Callable[[], OutputError], no_lock: Callable[[Exception], OutputError]
) -> Iterator[None]:
    """Hold a lock file during the block, and wait for nobody.

    The system itself lets go of the lock when its process ends, however it ends. The file stays: whoever removed it
    could take it from a process that is just starting.

    Parameters
    ----------
    lock_file : pathlib.Path
        The file to lock; its folder has to be there.
    busy : callable
        Gives the error to raise where another process holds it.
    no_lock : callable
        Gives the error to raise where it can't be locked, from what the system raised.

    Raises
    ------
    OutputError
        One of the two.
    """
    lock = FileLock(lock_file, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise busy() from error
    except (OSError, NotImplementedError) as error:
        raise no_lock(error) from error
    try:
        yield
    finally:
        lock.release()
