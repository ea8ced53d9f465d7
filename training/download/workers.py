"""Runs one function over many items in threads that Ctrl-C can stop on every system."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_PENDING_PER_WORKER = 2
_POLL_SECONDS = 0.2


def run_all(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, stopped: threading.Event
) -> Generator[Result]:
    """Yield the results in order of completion; only a few items wait at any time.

    Parameters
    ----------
    work : callable
        Called in threads. It should return soon once `stopped` is set.
    items : iterable
        Its arguments, one per call.
    workers : int
        Number of threads.
    stopped : threading.Event
        Set when the iteration ends for any reason.
    """
    pending: set[Future[Result]] = set()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                pending.add(pool.submit(work, item))
                while len(pending) >= _PENDING_PER_WORKER * workers:
                    done, pending = _wait_for_some(pending)
                    yield from (future.result() for future in done)
            while pending:
                done, pending = _wait_for_some(pending)
                yield from (future.result() for future in done)
        finally:
            stopped.set()
            for future in pending:
                future.cancel()


def _wait_for_some(pending: set[Future[Result]]) -> tuple[set[Future[Result]], set[Future[Result]]]:
    # With a timeout, because on Windows Ctrl-C does not interrupt a wait without one.
    done, still_pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
    return done, still_pending
