"""Limits the request rate of all workers together, so that a public server is not overloaded."""

from __future__ import annotations

import threading
import time


class RateLimit:
    """Allows one request at a time, with a fixed interval between requests, for any number of threads.

    Parameters
    ----------
    rate : float
        Requests a second, at most.
    stopped : threading.Event
        Ends every wait immediately when it is set.
    """

    def __init__(self, rate: float, stopped: threading.Event) -> None:
        self._interval = 1 / rate
        self._stopped = stopped
        self._lock = threading.Lock()
        self._next_at = time.monotonic()

    def wait(self) -> None:
        """Wait until this thread may send a request, or until the run is stopped."""
        while not self._stopped.is_set():
            with self._lock:
                now = time.monotonic()
                delay = self._next_at - now
                if delay <= 0:
                    self._next_at = now + self._interval
                    return
            self._stopped.wait(delay)

    def hold(self, seconds: float) -> None:
        """Block all requests for some seconds, as the server asked."""
        with self._lock:
            self._next_at = max(self._next_at, time.monotonic() + seconds)
