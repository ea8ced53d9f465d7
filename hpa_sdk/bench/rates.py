"""Measures latencies and rates, and alternates between candidates so that they can be compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure that was measured several times.

    Attributes
    ----------
    median, low, high : float
        The median, the lowest and the highest value.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Summarise measured values."""
        return cls(float(np.median(values)), min(values), max(values))


def rate(answers: Generator[object], *, seconds: float, unmeasured: int) -> float:
    """Measure the answers per second, after a warm-up.

    Parameters
    ----------
    answers : generator
        Yields more answers than are measured; closed at the end.
    seconds : float
        How long to measure; at least one answer is awaited.
    unmeasured : int
        Answers of the warm-up, in which threads start and a first batch fills.
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
        Minimum number of answers.
    """
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        begun = time.perf_counter()
        answer()
        times.append(time.perf_counter() - begun)
    return times


def in_turn(measures: dict[str, Callable[[], float]], rounds: int) -> Iterator[dict[str, float]]:
    """Measure each of several things once per round, so that other load on the machine affects them all alike."""
    for _ in range(rounds):
        yield {name: measure() for name, measure in measures.items()}
