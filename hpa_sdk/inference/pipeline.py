"""Reads ahead and runs batches on the same threads, in order and with bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Generic, TypeVar

from hpa_sdk.prediction import Failure

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Answer = TypeVar("Answer")


def run_in_batches(
    items: Iterator[Item],
    *,
    prepare: Callable[[Item], Prepared | Failure],
    run: Callable[[list[Prepared]], Sequence[Answer | Failure]],
    batch_size: int,
    workers: int,
    parallel_runs: int = 1,
) -> Generator[Answer | Failure]:
    """Prepare items on threads, and run each batch on the thread that prepares its last item.

    A core that has read a field also runs it, without a hand-over. Only a few batches are prepared ahead: if the
    consumer is slow or stops, the reading stops too. When the generator is closed or raises, all threads are
    finished.

    Parameters
    ----------
    items : iterator
        The items to process. They are drawn in the consumer's thread, a few batches ahead of the answers.
    prepare : callable
        Prepares one item. If it returns a `Failure`, that is the answer for this item, and the item is not run.
    run : callable
        Runs the prepared items of a batch, which can be empty. At most `parallel_runs` threads call it at once.
    batch_size : int
        Items per batch.
    workers : int
        Number of threads.
    parallel_runs : int
        Number of simultaneous runs.

    Yields
    ------
    Answer or Failure
        One for each item, in order.

    Raises
    ------
    Exception
        Any exception of `items`, `prepare` or `run`, after all earlier answers. If the consumer is interrupted while it
        waits, the answers that are ready come before the interruption.
    """
    batches = _batches(items, batch_size)
    most = parallel_runs + 1 + -(-workers // batch_size)
    slots = threading.BoundedSemaphore(parallel_runs)

    def run_in_turn(prepared: list[Prepared]) -> Sequence[Answer | Failure]:
        with slots:
            return run(prepared)

    waiting: deque[Future[list[Answer | Failure]]] = deque()
    with _pool(workers) as pool:
        try:
            while True:
                for drawn in islice(batches, most - len(waiting)):
                    waiting.append(_begin(pool, drawn, prepare, run_in_turn))
                if not waiting:
                    return
                # Removed only when its result is known: an interrupted wait loses no batch.
                answers = waiting[0].result()
                waiting.popleft()
                yield from answers
        except KeyboardInterrupt:
            while waiting and waiting[0].done() and not waiting[0].exception():
                yield from waiting.popleft().result()
            raise


def _batches(items: Iterator[Item], size: int) -> Iterator[list[Item] | Exception]:
    """Split items into batches. An exception of the iterator comes last, after the items before it."""
    while True:
        batch: list[Item] = []
        try:
            batch.extend(islice(items, size))
        except Exception as error:  # noqa: BLE001 - raised again when its turn comes
            yield from (batch, error) if batch else (error,)
            return
        if not batch:
            return
        yield batch


def _begin(
    pool: ThreadPoolExecutor,
    drawn: list[Item] | Exception,
    prepare: Callable[[Item], Prepared | Failure],
    run: Callable[[list[Prepared]], Sequence[Answer | Failure]],
) -> Future[list[Answer | Failure]]:
    if isinstance(drawn, Exception):
        failed: Future[list[Answer | Failure]] = Future()
        failed.set_exception(drawn)
        return failed
    batch = _Batch(drawn, prepare, run)
    for at in range(len(drawn)):
        pool.submit(batch.work, at)
    return batch.answers


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="hpa-worker")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class _Batch(Generic[Item, Prepared, Answer]):
    """Items that are prepared one by one, and run together when the last one is ready."""

    def __init__(
        self,
        items: list[Item],
        prepare: Callable[[Item], Prepared | Failure],
        run: Callable[[list[Prepared]], Sequence[Answer | Failure]],
    ) -> None:
        self.answers: Future[list[Answer | Failure]] = Future()
        self._items = items
        self._prepare = prepare
        self._run = run
        self._ready: list[Prepared | Failure | None] = [None] * len(items)
        self._left = len(items)
        self._lock = threading.Lock()

    def work(self, at: int) -> None:
        """Prepare one item. The call that prepares the last item also runs the batch."""
        try:
            self._ready[at] = self._prepare(self._items[at])
            with self._lock:
                self._left -= 1
                last = not self._left
            if last:
                self.answers.set_result(self._answer())
        except BaseException as error:  # noqa: BLE001 - raised again when the answers are awaited
            # Two items of a batch can fail.
            with suppress(InvalidStateError):
                self.answers.set_exception(error)

    def _answer(self) -> list[Answer | Failure]:
        prepared = [item for item in self._ready if item is not None and not isinstance(item, Failure)]
        answers = iter(self._run(prepared))
        return [item if isinstance(item, Failure) else next(answers) for item in self._ready]
