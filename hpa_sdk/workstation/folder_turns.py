"""Shares out the looks into folders that are done with: what OME-Zarr holds is many files, and each costs a stat."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

SHARE = 0.04
"""The part of the time that is spent on them, at most."""

AT_ONCE = 0.01
"""Seconds from which on the next folder has to wait for a later look."""


class FolderTurns:
    """Whose turn it is to be looked into, by what the looks before have cost."""

    def __init__(self) -> None:
        self._turns: Iterator[str] = iter(())
        self._ended = True
        self._rest_until = 0.0

    def renew(self, names: Iterable[str]) -> None:
        """Begin another round, unless one is not yet at its end."""
        if self._ended:
            self._turns, self._ended = iter(tuple(names)), False

    def now(self) -> Iterator[str]:
        """Yield the folders to look into now; what happens between two of them counts as the cost of the first."""
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
