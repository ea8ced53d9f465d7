"""Runs one function over many items in threads, in a way that Ctrl-C ends on every system."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2
_GLANCE = 0.2


def run_all(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, stopped: threading.Event
) -> Generator[Result]:
    """Give the results as they come, with few items waiting at any time, however many there are.

    Parameters
    ----------
    work : callable
        Called in threads. It should return soon once `stopped` is set.
    items : iterable
        What to call it with.
    workers : int
        Number of threads.
    stopped : threading.Event
        Set when the iteration ends, for whatever reason.
    """
    pending: set[Future[Result]] = set()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                pending.add(pool.submit(work, item))
                while len(pending) >= _AHEAD * workers:
                    done, pending = _glance(pending)
                    yield from (future.result() for future in done)
            while pending:
                done, pending = _glance(pending)
                yield from (future.result() for future in done)
        finally:
            stopped.set()
            for future in pending:
                future.cancel()


def _glance(pending: set[Future[Result]]) -> tuple[set[Future[Result]], set[Future[Result]]]:
    # With a time limit, because on Windows a wait without one never hears of Ctrl-C.
    done, still_pending = wait(pending, timeout=_GLANCE, return_when=FIRST_COMPLETED)
    return done, still_pending
