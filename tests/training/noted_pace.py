"""Notes when requests are let through and held back, by the clock that `Pace` itself reads."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from training.download import pace
from training.download.pace import Pace


@dataclass
class NotedPace:
    """Turns, and holds with the seconds that were asked for.

    The moments are those that `Pace` decided by, so that they are right however late a thread goes on after them.
    """

    turns: list[float] = field(default_factory=list)
    holds: list[tuple[float, float]] = field(default_factory=list)

    def smallest_gap(self) -> float:
        return round(float(np.diff(sorted(self.turns)).min()), 6)


def note_pace(monkeypatch: pytest.MonkeyPatch, *, longest_hold: float = math.inf) -> NotedPace:
    """Note what every `Pace` does from now on, and shorten its holds."""
    noted = NotedPace()
    read = threading.local()
    wait, hold = Pace.wait, Pace.hold

    def monotonic() -> float:
        read.last = time.monotonic()
        moment: float = read.last
        return moment

    def noting_wait(own: Pace) -> None:
        wait(own)
        noted.turns.append(read.last)

    def noting_hold(own: Pace, seconds: float) -> None:
        hold(own, min(seconds, longest_hold))
        noted.holds.append((read.last, seconds))

    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=monotonic))
    monkeypatch.setattr(Pace, "wait", noting_wait)
    monkeypatch.setattr(Pace, "hold", noting_hold)
    return noted
