"""Writes the figures of a benchmark, with the machine, to a file from which the performance page is made."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from hpa_sdk.bench.rates import Spread
from hpa_sdk.bench.report import machine
from hpa_sdk.files.atomic_write import atomic_write


def write_figures(path: Path, figures: Mapping[str, Any]) -> None:
    """Write figures as JSON, with the machine."""
    with atomic_write(path) as partial:
        content = {"machine": machine(), **figures}
        partial.write_text(json.dumps(content, indent=2, default=_plain) + "\n", encoding="utf-8")
    print(f"written: {path}", file=sys.stderr)  # noqa: T201 - a message of a script


def ratios(rows: Iterable[Mapping[str, float]], over: str) -> dict[str, Spread]:
    """Return the ratio of each figure to one of them in the same turn."""
    rows = list(rows)
    return {name: Spread.of([row[name] / row[over] for row in rows]) for name in rows[0] if name != over}


def spreads(rows: Iterable[Mapping[str, float]]) -> dict[str, Spread]:
    """Summarize each figure over the turns."""
    rows = list(rows)
    return {name: Spread.of([row[name] for row in rows]) for name in rows[0]}


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)
