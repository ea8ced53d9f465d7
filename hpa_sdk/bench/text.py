"""Formats the measured figures as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hpa_sdk.bench.rates import Spread
from hpa_sdk.bench.report import Ceiling, Duel


def as_text(figures: dict[str, Any]) -> str:
    """Return the text."""
    return "\n".join(_lines(figures))


def _lines(figures: dict[str, Any]) -> Iterator[str]:
    for name in ("model", "device", "providers", "threads", "fields"):
        yield f"{name:<12} {figures[name]}"
    for name, value in figures["machine"].items():
        yield f"{name:<12} {value}"
    single: dict[str, float] = figures["single_stream_ms"]
    yield ""
    yield "one field at a time, from file to answer"
    yield f"  p50 {single['p50']:.1f} ms   p90 {single['p90']:.1f} ms   p99 {single['p99']:.1f} ms"
    yield f"  of which {'   '.join(f'{part} {time:.2f} ms' for part, time in figures['stages_ms'].items())}"
    yield from _ceiling(figures["offline"])
    if figures.get("against"):
        yield from _duel(figures["against"])


def _ceiling(found: Ceiling) -> Iterator[str]:
    yield ""
    yield "many fields, in fields a second"
    for name, spread in (
        ("from file to answer", found.offline),
        ("decoder alone", found.decoder),
        ("reading alone", found.reading),
        ("session alone", found.raw_session),
        ("ceiling", found.ceiling),
    ):
        yield f"  {name:<20} {_plain(spread)}"
    yield f"  {'of the ceiling':<20} {_per_cent(found.share)}; it is bound by {found.binding}"


def _duel(found: Duel) -> Iterator[str]:
    yield ""
    yield f"against {found.baseline}, in turn"
    yield f"  {'this':<20} {_plain(found.ours)}"
    yield f"  {'the other':<20} {_plain(found.theirs)}"
    ratio = found.ratio
    yield f"  {'ratio':<20} {ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
    yield f"  {'same label sets':<20} {found.same_label_sets:.1%} of {found.fields} fields"


def _plain(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f})"


def _per_cent(spread: Spread) -> str:
    return f"{spread.median:.1%} ({spread.low:.1%} to {spread.high:.1%})"
