"""Records when requests are let through and held back, by the clock that `RateLimit` itself reads."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from training.download import rate_limit
from training.download.rate_limit import RateLimit


@dataclass
class RecordedRateLimit:
    """Turns, and holds with the seconds that were asked for.

    The moments are those that `RateLimit` decided by, so that they are right even if a thread continues late.
    """

    turns: list[float] = field(default_factory=list)
    holds: list[tuple[float, float]] = field(default_factory=list)

    def smallest_gap(self) -> float:
        return round(float(np.diff(sorted(self.turns)).min()), 6)


def record_rate_limit(monkeypatch: pytest.MonkeyPatch, *, longest_hold: float = math.inf) -> RecordedRateLimit:
    """Record what every `RateLimit` does from now on, and shorten its holds."""
    recorded = RecordedRateLimit()
    read = threading.local()
    wait, hold = RateLimit.wait, RateLimit.hold

    def monotonic() -> float:
        read.last = time.monotonic()
        moment: float = read.last
        return moment

    def recorded_wait(own: RateLimit) -> None:
        wait(own)
        recorded.turns.append(read.last)

    def recorded_hold(own: RateLimit, seconds: float) -> None:
        hold(own, min(seconds, longest_hold))
        recorded.holds.append((read.last, seconds))

    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=monotonic))
    monkeypatch.setattr(RateLimit, "wait", recorded_wait)
    monkeypatch.setattr(RateLimit, "hold", recorded_hold)
    return recorded
