"""Reads ahead on threads and runs in batches, with order kept and memory bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from hpa_sdk.prediction import Failure

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Answer = TypeVar("Answer")


def run_in_batches(
    items: Iterator[Item],
    *,
    prepare: Callable[[Item], Prepared | Failure],
    run: Callable[[list[Prepared]], list[Answer]],
    batch_size: int,
    workers: int,
) -> Generator[Answer | Failure]:
    """Prepare items on threads a little ahead of running them in batches.

    Parameters
    ----------
    items : iterator
        What to work on; drawn in this thread, at most ``2 * (batch_size + workers)`` ahead of the answers.
    prepare : callable
        Makes one item ready, on a thread. A `Failure` that it returns keeps its place and takes no part in a batch.
    run : callable
        Answers a batch of prepared items, which can be empty, in this thread.
    batch_size, workers : int
        Items a batch, and threads.

    Yields
    ------
    Answer or Failure
        One for each item, in order.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="hpa-decoder")
    try:
        batch: list[Prepared | Failure] = []
        ready = 0
        for prepared in _prepare_ahead(pool, items, prepare, batch_size + workers):
            if isinstance(prepared, Failure) and not batch:
                yield prepared
                continue
            batch.append(prepared)
            ready += not isinstance(prepared, Failure)
            # Failures in between count too, or a row of them would be held back without end.
            if ready == batch_size or len(batch) == batch_size + workers:
                yield from _run(batch, run)
                batch, ready = [], 0
        yield from _run(batch, run)
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_ahead(
    pool: ThreadPoolExecutor, items: Iterator[Item], prepare: Callable[[Item], Prepared], ahead: int
) -> Iterator[Prepared]:
    waiting: deque[Future[Prepared]] = deque()
    for item in items:
        waiting.append(pool.submit(prepare, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _run(batch: list[Prepared | Failure], run: Callable[[list[Prepared]], list[Answer]]) -> Iterator[Answer | Failure]:
    answers = iter(run([item for item in batch if not isinstance(item, Failure)]))
    for item in batch:
        yield item if isinstance(item, Failure) else next(answers)
