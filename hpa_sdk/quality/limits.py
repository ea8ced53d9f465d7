"""Says which measures of a field are usual: limits that are learned from fields, those that ship or a lab's own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from statistics import NormalDist
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from hpa_sdk.errors import SettingError

Side = Literal["low", "high", "both"]


class Kind(NamedTuple):
    """How the limit of a measure is learned.

    Attributes
    ----------
    side : str
        The side on which a value is suspicious.
    margin : float
        How far the limit lies beyond the quantile, as a share of the distance from there to the median; if negative,
        within it. Some thirty measures that each leave out one clean field in a hundred would flag one in four. At
        these margins a kind flags 0.7 % of held-out fields or fewer (``docs/evidence/quality.md``). Smaller where
        spoiled fields would not be found otherwise.
    logarithmic : bool
        Whether distances are ratios, as for measures that spread over decades.
    pooled : bool
        Whether the planes have one limit, from the values of all of them.
    least : float
        No limit is lower: such a value harms no answer, even if the fields that were learned from are better.
    version : int
        Of the definition. Raise it with each change, so that limits that were learned before are not used any more.
    """

    side: Side
    margin: float
    logarithmic: bool = False
    pooled: bool = False
    least: float = -math.inf
    version: int = 1


KINDS = {
    "saturated": Kind("high", 0.75, pooled=True, least=0.03),
    "brightness": Kind("low", 1.5, logarithmic=True),
    "gaps": Kind("high", 0.5, least=0.1),
    "noise": Kind("high", 0.75, logarithmic=True),
    "signal": Kind("low", 0.75, logarithmic=True),
    "focus": Kind("low", 0.75),
    "unlike": Kind("low", 0.5, logarithmic=True),
    "scale": Kind("both", -0.05),
    "swapped": Kind("high", 0.25),
}
"""The measures that have limits."""

LEAST_FIELDS = 20
"""Limits from fewer fields than this say nothing."""

QUANTILE = 0.01
"""The share of the fields beyond the quantile from which a limit is made."""

_LEAST = 1e-6  # for logarithms
_FIRST = "1"
_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The usual values of measures.

    Attributes
    ----------
    data : str
        The fields that they were learned from.
    fields : int
        The number of these fields.
    low, high : dict of str to float
        Of each measure with a limit on this side: the limit.
    definitions : dict of str to str
        Of measures with a limit, by their kind: the definition by which they were measured, see `definitions`. That of
        a kind that is not named is the first one.
    """

    data: str
    fields: int
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)

    def problem(self) -> str | None:
        """Say why they can't be used; None if they can."""
        names = {*self.low, *self.high}
        unknown = sorted(name for name in names if name.partition(" ")[0] not in KINDS)
        if unknown:
            return f"there is no measure {unknown[0]!r}"
        if not all(map(math.isfinite, (*self.low.values(), *self.high.values()))):
            return "a limit is no finite number"
        crossed = sorted(name for name in self.low.keys() & self.high.keys() if self.low[name] > self.high[name])
        if crossed:
            return f"the limits of {crossed[0]!r} are out of order: {self.low[crossed[0]]} to {self.high[crossed[0]]}"
        return None if self.fields >= LEAST_FIELDS else f"they are from {self.fields} fields, fewer than {LEAST_FIELDS}"

    def outdated(self) -> tuple[str, ...]:
        """Return the measures that had another definition when these limits were learned: they say nothing now."""
        now = definitions()
        changed = {
            kind
            for kind in now.keys() | self.definitions.keys()
            if now.get(kind, _FIRST) != self.definitions.get(kind, _FIRST)
        }
        names = sorted(self.low.keys() | self.high.keys()) if changed else ()
        return tuple(name for name in names if name.partition(" ")[0] in changed)

    def without(self, names: Collection[str]) -> Limits:
        """Return the limits of all other measures."""
        low, high = ({name: each[name] for name in each if name not in names} for each in (self.low, self.high))
        return replace(self, low=low, high=high)


def learn_limits_apart(kinds: Sequence[tuple[str, Sequence[Mapping[str, float]]]]) -> Limits:
    """Learn limits from several kinds of fields, such as those of two microscopes, and join them.

    A limit lies beyond a quantile by a share of the spread. That of a mixture is mostly the difference between its
    kinds, and would put the limit far too far out. So each kind has its own, if all have `LEAST_FIELDS` or more.

    Parameters
    ----------
    kinds : sequence of tuple
        The name of each kind, and the measures of each of its fields.

    Raises
    ------
    SettingError
        There are fewer than `LEAST_FIELDS` in all.
    """
    if all(len(fields) >= LEAST_FIELDS for _, fields in kinds):
        return widest([learn_limits(fields, name) for name, fields in kinds])
    return learn_limits([each for _, fields in kinds for each in fields], ", ".join(name for name, _ in kinds))


def learn_limits(measured: Sequence[Mapping[str, float]], data: str, kinds: Mapping[str, Kind] | None = None) -> Limits:
    """Learn limits from the measures of fields that are as they should be.

    Parameters
    ----------
    measured : sequence of mapping
        The measures of each field.
    data : str
        Name of the fields.
    kinds : mapping, optional
        How the limits are learned. Default: `KINDS`.

    Raises
    ------
    SettingError
        There are fewer fields than `LEAST_FIELDS`.
    """
    if len(measured) < LEAST_FIELDS:
        raise SettingError(
            f"limits can't be learned from {len(measured)} fields", remedy=f"Give {LEAST_FIELDS} fields or more."
        )
    kinds = KINDS if kinds is None else kinds
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for name in dict.fromkeys(name for values in measured for name in values):
        kind = kinds.get(name.partition(" ")[0])
        values = np.array([found[one] for found in measured for one in found if _same_limit(one, name)])
        if kind is None or len(values) < LEAST_FIELDS:
            continue
        if kind.logarithmic:
            values = np.log(np.maximum(values, _LEAST))
        least, median, most = np.quantile(values, [QUANTILE, 0.5, 1 - QUANTILE])
        reach = (1 + kind.margin) * _stretch(len(values))
        lowest, highest = median - reach * (median - least), median + reach * (most - median)
        if kind.side != "high":
            low[name] = float(np.exp(lowest) if kind.logarithmic else lowest)
        if kind.side != "low":
            high[name] = max(float(np.exp(highest) if kind.logarithmic else highest), kind.least)
    limited = {name.partition(" ")[0] for name in (*low, *high)}
    named = {kind: definition for kind, definition in definitions().items() if kind in limited}
    return Limits(data=data, fields=len(measured), low=low, high=high, definitions=named)


def _stretch(count: int) -> float:
    """Return how much further from the median the quantile of many values lies than that of so few, if they are normal.

    Of fewer than a hundred values the quantile is little more than their extreme. Its expected place is that of Blom,
    Statistical Estimates and Transformed Beta-Variables, 1958.
    """
    rank = 1 + QUANTILE * (count - 1)
    normal = NormalDist()
    return max(normal.inv_cdf(QUANTILE) / normal.inv_cdf((rank - 3 / 8) / (count + 1 / 4)), 1.0)


def _same_limit(one: str, other: str) -> bool:
    kind, _, plane = one.partition(" ")
    other_kind, _, other_plane = other.partition(" ")
    pooled = kind in KINDS and KINDS[kind].pooled and bool(plane) and bool(other_plane)
    return one == other or (pooled and kind == other_kind)


def widest(limits: Sequence[Limits]) -> Limits:
    """Join limits of different kinds of fields: a value that is usual in one of them is usual."""
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for some in limits:
        low |= {name: min(value, low.get(name, value)) for name, value in some.low.items()}
        high |= {name: max(value, high.get(name, value)) for name, value in some.high.items()}
    data = ", ".join(f"{some.fields} of {some.data}" for some in limits)
    definitions = {kind: name for some in limits for kind, name in some.definitions.items()}
    return Limits(data=data, fields=sum(some.fields for some in limits), low=low, high=high, definitions=definitions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What ships: the weights of composed measures, and the limits for models without their own.

    Attributes
    ----------
    weights : dict
        As for `hpa_sdk.quality.measures.measure`.
    limits : Limits
        The limits.
    """

    weights: dict[str, dict[str, float]]
    limits: Limits


DEFAULTS = "defaults.json"
"""Name of the file with the defaults, in this package; `python -m benchmarks.quality` writes it."""


@cache
def defaults() -> Defaults:
    """Read the defaults."""
    return msgspec.json.decode((files(__package__ or "hpa_sdk.quality") / DEFAULTS).read_bytes(), type=Defaults)


@cache
def definitions() -> dict[str, str]:
    """Return what identifies the definition of each kind of measure that has changed since the first, or can.

    Returns
    -------
    dict of str to str
        Its version; for a weighted sum the first digits of the SHA-256 of its weights.
    """
    versions = {name: str(kind.version) for name, kind in KINDS.items() if kind.version > 1}
    sums = {
        name: hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:_DIGITS]
        for name, parts in defaults().weights.items()
    }
    return versions | sums


@cache
def shipped_sha256() -> str:
    """Identify what warnings depend on beside a model's own reference: the definitions, and the limits that ship."""
    content = (files(__package__ or "hpa_sdk.quality") / DEFAULTS).read_bytes()
    return hashlib.sha256(content + repr(definitions()).encode()).hexdigest()
