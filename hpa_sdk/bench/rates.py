"""Times work: how long each answer takes, how many come a second, and how two of them compare when they take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure that was taken several times.

    Attributes
    ----------
    median, low, high : float
        The middle one, the lowest and the highest.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Sum up what was measured."""
        return cls(float(np.median(values)), min(values), max(values))


def rate(answers: Generator[object], *, seconds: float, unmeasured: int) -> float:
    """Measure how many answers come a second, once they come steadily.

    Parameters
    ----------
    answers : generator
        Gives more answers than are measured; closed at the end.
    seconds : float
        How long to measure; at least one answer is awaited.
    unmeasured : int
        Answers before the clock starts, in which threads start and a first batch fills.
    """
    with closing(answers):
        for _ in range(unmeasured):
            next(answers)
        begun = time.perf_counter()
        count, elapsed = 0, 0.0
        while elapsed < seconds:
            next(answers)
            count += 1
            elapsed = time.perf_counter() - begun
    return count / elapsed


def latencies(answer: Callable[[], object], *, seconds: float, least: int) -> list[float]:
    """Measure how long each of many answers takes, one after the other, in seconds.

    Parameters
    ----------
    answer : callable
        Gives one answer.
    seconds : float
        How long to measure.
    least : int
        Answers that are measured in any case.
    """
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        begun = time.perf_counter()
        answer()
        times.append(time.perf_counter() - begun)
    return times


def in_turn(measures: dict[str, Callable[[], float]], rounds: int) -> Iterator[dict[str, float]]:
    """Measure each of several things once a round, so that whatever else the machine does meets them all alike."""
    for _ in range(rounds):
        yield {name: measure() for name, measure in measures.items()}
