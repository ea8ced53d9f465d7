"""Keeps all workers together to one pace, so that a public server is not overrun."""

from __future__ import annotations

import threading
import time


class RateLimit:
    """Lets requests pass one by one, a fixed time apart, however many threads ask.

    Parameters
    ----------
    rate : float
        Requests a second, at most.
    stopped : threading.Event
        Ends every wait at once when it is set.
    """

    def __init__(self, rate: float, stopped: threading.Event) -> None:
        self._interval = 1 / rate
        self._stopped = stopped
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def wait(self) -> None:
        """Wait for this thread's turn, or until the run is stopped."""
        while not self._stopped.is_set():
            with self._lock:
                now = time.monotonic()
                delay = self._free_at - now
                if delay <= 0:
                    self._free_at = now + self._interval
                    return
            self._stopped.wait(delay)

    def hold(self, seconds: float) -> None:
        """Let nobody pass for a while, as the server asked."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic() + seconds)
