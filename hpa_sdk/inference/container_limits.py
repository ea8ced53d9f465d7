"""Reads the limits of a container: it may allow less CPU time and less memory than the machine has.

Uses Linux control groups, https://docs.kernel.org/admin-guide/cgroup-v2.html. On other systems there is no limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def granted_cores() -> int | None:
    """Return how many cores' time this process may use, rounded up; None without a limit."""
    granted = [quota / period for quota, period in _quotas() if quota > 0 and period > 0]
    return max(1, math.ceil(min(granted))) if granted else None


def granted_memory() -> int | None:
    """Return how many bytes all processes of the container together can still use; None without a limit.

    File caches that the system could drop count as free.
    """
    free = []
    for folder, limit, used in (
        *((group, "memory.max", "memory.current") for group in _own_groups()),
        (_GROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        most, taken = _number(folder / limit), _number(folder / used)
        if most is not None and taken is not None:
            free.append(most - taken + _droppable(folder / "memory.stat"))
    return max(0, min(free)) if free else None


def _quotas() -> Iterator[tuple[int, int]]:
    for group in _own_groups():
        quota, _, period = _text(group / "cpu.max").partition(" ")
        if quota.isdecimal() and period.isdecimal():
            yield int(quota), int(period)
    # Version 1, in which a container sees its own group as the top one.
    older = [_number(_GROUPS / "cpu" / f"cpu.cfs_{part}_us") for part in ("quota", "period")]
    if older[0] is not None and older[1] is not None:
        yield older[0], older[1]


def _own_groups() -> Iterator[Path]:
    """Yield the folders of this process's group and of its parent groups, whose limits apply too."""
    for line in _text(_OWN).splitlines():
        if line.startswith("0::/"):
            own = PurePosixPath(line.removeprefix("0::/"))
            yield from (_GROUPS / each for each in (own, *own.parents))
            return


def _droppable(statistics: Path) -> int:
    counters = dict(line.split(" ", 1) for line in _text(statistics).splitlines() if " " in line)
    # Version 1 counts the child groups separately, version 2 includes them.
    return sum(int(counters.get(f"total_{kind}", counters.get(kind, 0))) for kind in ("inactive_file", "active_file"))


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return ""
