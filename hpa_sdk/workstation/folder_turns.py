"""Limits the checks of processed folders: an OME-Zarr folder contains many files, and each check costs a stat."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

SHARE = 0.04
"""Maximum share of the time that is spent on them."""

AT_ONCE = 0.01
"""Seconds after which the next folder has to wait for a later look."""


class FolderTurns:
    """Selects the folders to check next, by the cost of the earlier checks."""

    def __init__(self) -> None:
        self._turns: Iterator[str] = iter(())
        self._ended = True
        self._rest_until = 0.0

    def renew(self, names: Iterable[str]) -> None:
        """Begin another round, unless the current one is not finished."""
        if self._ended:
            self._turns, self._ended = iter(tuple(names)), False

    def now(self) -> Iterator[str]:
        """Yield the folders to check now; the time between two of them counts as the cost of the first."""
        began = time.perf_counter()
        if began < self._rest_until:
            return
        for name in self._turns:
            yield name
            if time.perf_counter() - began >= AT_ONCE:
                break
        else:
            self._ended = True
        ended = time.perf_counter()
        self._rest_until = ended + (ended - began) * (1 / SHARE - 1)
