"""Requests pass a fixed time apart, later where the server asked, and at once no more when the run is stopped."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from training.download import rate_limit
from training.download.rate_limit import RateLimit


class Clock(threading.Event):
    """An event whose waits take no time but move the clock that it is."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0
        return self.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def turns(kept: RateLimit, clock: Clock, count: int) -> list[float]:
    found = []
    for _ in range(count):
        kept.wait()
        found.append(clock.now - 1000)
    return found


def test_turns_are_a_fixed_time_apart(clock: Clock) -> None:
    kept = RateLimit(4, clock)
    assert turns(kept, clock, 4) == [0, 0.25, 0.5, 0.75]


def test_time_that_nobody_used_is_not_made_up_for(clock: Clock) -> None:
    kept = RateLimit(4, clock)
    clock.now += 10
    assert turns(kept, clock, 3) == [10, 10.25, 10.5]


def test_a_hold_is_kept_and_a_shorter_one_changes_nothing(clock: Clock) -> None:
    kept = RateLimit(4, clock)
    kept.hold(3)
    kept.hold(1)
    assert turns(kept, clock, 2) == [3, 3.25]
    kept.hold(0)
    assert turns(kept, clock, 1) == [3.5]


def test_a_stopped_run_waits_no_more(clock: Clock) -> None:
    kept = RateLimit(4, clock)
    kept.hold(3600)
    clock.set()
    assert turns(kept, clock, 1) == [0]
