"""Batches run where their items are prepared: in order, bounded, and no error costs an answer before it."""

import _thread
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from hpa_sdk.errors import DeviceError, PlaneError
from hpa_sdk.inference.pipeline import run_in_batches
from hpa_sdk.prediction import Failure

SHAPES = [(1, 1, 1), (1, 2, 2), (2, 3, 1), (4, 3, 2), (7, 2, 3), (100, 4, 2)]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("hpa-worker")]


def same(items: list[Any]) -> list[Any]:
    return items


def unchanged(item: Any) -> Any:
    return item


@pytest.mark.parametrize(("batch_size", "workers", "parallel_runs"), SHAPES)
def test_order_is_kept_even_if_the_first_takes_longest(batch_size: int, workers: int, parallel_runs: int) -> None:
    delays = np.random.default_rng(batch_size).uniform(0, 0.004, 60)

    def prepare(item: int) -> int | Failure:
        time.sleep(delays[item])
        return Failure(str(item), PlaneError("bad", remedy="None.")) if item % 7 == 3 else item

    def run(items: list[int]) -> list[int]:
        time.sleep(delays[-items[0] - 1] if items else 0)
        assert len(items) <= batch_size
        return [-item for item in items]

    answers = run_in_batches(
        iter(range(60)), prepare=prepare, run=run, batch_size=batch_size, workers=workers, parallel_runs=parallel_runs
    )
    found = [answer.id if isinstance(answer, Failure) else answer for answer in answers]
    assert found == [str(item) if item % 7 == 3 else -item for item in range(60)]


@pytest.mark.parametrize(("batch_size", "workers", "parallel_runs"), SHAPES)
def test_no_more_runs_at_once_than_sessions(batch_size: int, workers: int, parallel_runs: int) -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def run(items: list[int]) -> list[int]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1
        return items

    answers = run_in_batches(
        iter(range(300)),
        prepare=unchanged,
        run=run,
        batch_size=batch_size,
        workers=workers,
        parallel_runs=parallel_runs,
    )
    assert len(list(answers)) == 300
    assert most <= parallel_runs


def test_sessions_run_in_parallel_while_others_are_prepared() -> None:
    together = threading.Barrier(3)  # two runs and one preparation

    def meet(item: Any) -> Any:
        if item not in (0, 1, [2]):
            together.wait(timeout=20)
        return item

    answers = run_in_batches(iter(range(3)), prepare=meet, run=meet, batch_size=1, workers=3, parallel_runs=2)
    assert list(answers) == [0, 1, 2]


def test_a_consumer_that_stops_stops_the_reading() -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for item in range(1, 10_000):
            drawn = item
            yield item

    with closing(
        run_in_batches(items(), prepare=unchanged, run=same, batch_size=3, workers=4, parallel_runs=2)
    ) as answers:
        assert drawn == 0
        assert [next(answers) for _ in range(9)] == list(range(1, 10))
        time.sleep(0.05)
        assert drawn <= 9 + 3 * (2 + 1 + 2)


def test_nothing_more_is_begun_when_it_is_closed() -> None:
    prepared: list[int] = []

    def prepare(item: int) -> int:
        prepared.append(item)
        time.sleep(0.02)
        return item

    answers = run_in_batches(iter(range(1000)), prepare=prepare, run=same, batch_size=8, workers=2)
    next(answers)
    answers.close()
    seen = len(prepared)
    time.sleep(0.05)
    assert len(prepared) == seen < 30


def lost_at(item: int) -> Any:
    def work(given: Any) -> Any:
        if item in (given if isinstance(given, list) else [given]):
            raise DeviceError("the device is lost", remedy="None.")
        return given

    return work


@pytest.mark.parametrize("place", ["prepare", "run"])
@pytest.mark.parametrize(("batch_size", "workers", "parallel_runs"), SHAPES[:4])
def test_what_was_answered_before_an_error_is_given_first(
    place: str, batch_size: int, workers: int, parallel_runs: int
) -> None:
    work = {"prepare": unchanged, "run": same} | {place: lost_at(17)}
    given: list[Any] = []
    with pytest.raises(DeviceError, match="the device is lost"):
        given.extend(
            run_in_batches(
                iter(range(100)), batch_size=batch_size, workers=workers, parallel_runs=parallel_runs, **work
            )
        )
    assert given == list(range(17 // batch_size * batch_size))


def test_two_errors_in_a_batch_are_one() -> None:
    def prepare(item: int) -> int:
        raise DeviceError(str(item), remedy="None.")

    with pytest.raises(DeviceError):
        list(run_in_batches(iter(range(4)), prepare=prepare, run=same, batch_size=4, workers=4))


def test_the_source_s_own_error_comes_last() -> None:
    def items() -> Iterator[int]:
        yield from range(7)
        message = "the share is gone"
        raise OSError(message)

    given: list[Any] = []
    with pytest.raises(OSError, match="the share is gone"):
        given.extend(run_in_batches(items(), prepare=unchanged, run=same, batch_size=3, workers=2))
    assert given == list(range(7))


def test_an_interruption_gives_what_is_ready_and_then_interrupts() -> None:
    hang = threading.Event()

    def run(items: list[int]) -> list[int]:
        if items == [3]:
            while not ready.issuperset({0, 1, 2}):
                time.sleep(0.001)
            _thread.interrupt_main()
            hang.wait(0.5)
        ready.add(items[0])
        return items

    ready: set[int] = set()
    given: list[Any] = []
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        given.extend(run_in_batches(iter(range(1000)), prepare=unchanged, run=run, batch_size=1, workers=1))
    assert given[:3] == [0, 1, 2]
    # What was in flight can be ready too, for the interruption does not wake a wait: it is seen when the batch is done.
    assert len(given) <= 3 + 3
    assert time.monotonic() - begun < 10
