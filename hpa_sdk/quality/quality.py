"""Judges the measures of a field by limits, and says in a sentence what is unusual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from hpa_sdk.quality.limits import Limits, defaults
from hpa_sdk.quality.measures import Planes, measure

_OUTDATED = "the limits of {name}: its definition has changed since they were learned; run 'hpa reference' again"
_EQUAL = 1e-5  # 1 - r of planes that are the same but for rounding
_DARK = 0.1
_NOISE_ALONE = 0.2  # signal of white noise: 0.12 to 0.16 for deviations of 1 to 25 grey levels
OUTLYING = 0.01
"""A field is flagged if less than this share of the training fields lies as far out."""


@dataclass(frozen=True, slots=True)
class Flag:
    """Something unusual about a field.

    Attributes
    ----------
    measure : str
        Name of the measure, such as ``"focus green"``.
    value : float
        Its value.
    limit : float
        The limit that it crosses.
    text : str
        What it means, as a sentence.
    """

    measure: str
    value: float
    limit: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The quality of a field, as its planes show it.

    Attributes
    ----------
    measures : dict of str to float
        What was measured: see `hpa_sdk.quality.measures.measure`.
    flags : tuple of Flag
        What is unusual. Empty for a field like those that the limits were learned from.
    left_out : tuple of str
        What was not measured, and why.
    """

    measures: dict[str, float] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences of the flags."""
        return tuple(flag.text for flag in self.flags)


def judge(
    planes: Planes,
    channels: Sequence[str],
    *,
    white: npt.NDArray[np.float32] | None = None,
    limits: Limits | None = None,
    scale_problem: str = "",
) -> Quality:
    """Measure planes, and compare the measures with limits.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (C, H, W).
    channels : sequence of str
        The colour of each plane.
    white : numpy.ndarray, optional
        The grey level that counts as 1, of each plane.
    limits : Limits, optional
        Default: those that ship, `defaults`.
    scale_problem : str
        As for `hpa_sdk.quality.measures.measure`.
    """
    outdated = () if limits is None else limits.outdated()
    limits = defaults().limits if limits is None else limits.without(outdated) if outdated else limits
    values, left_out = measure(planes, channels, defaults().weights, white, scale_problem=scale_problem)
    left_out += tuple(_OUTDATED.format(name=name) for name in outdated)
    flags = flags_of(values, limits, dark=_DARK if planes.dtype == np.uint16 else 0)
    return Quality(measures=values, flags=tuple(flags), left_out=left_out)


def flags_of(values: Mapping[str, float], limits: Limits, *, dark: float = 0) -> Iterator[Flag]:
    """Flag the measures that cross a limit.

    Parameters
    ----------
    values : mapping of str to float
        The measures.
    limits : Limits
        The limits.
    dark : float
        Planes whose brightness is below this have another white level than was stated.
    """
    for name, value in values.items():
        crossed = _crossed(name, value, limits, dark)
        if crossed is not None:
            sentence, limit = crossed
            plane = name.partition(" ")[2]
            yield Flag(name, value, limit, _SENTENCES[sentence].format(plane=plane, value=value, limit=limit))


def with_outlying(quality: Quality, share: float) -> Quality:
    """Add the measure ``outlying``: the share of the training fields that lie at least as far out."""
    flags = quality.flags
    if share < OUTLYING:
        text = "The field is unlike those of the training: fewer than 1% of them are as far from the others."
        flags = (*flags, Flag("outlying", share, OUTLYING, text))
    return replace(quality, measures={**quality.measures, "outlying": share}, flags=flags)


def _crossed(name: str, value: float, limits: Limits, dark: float) -> tuple[str, float] | None:
    """Return the key of the sentence for a value that crosses a limit, and the limit."""
    kind = name.partition(" ")[0]
    if kind == "constant":
        return (kind, 0.0) if value else None
    if kind == "brightness" and value < dark:
        return "white", dark
    if kind == "unlike" and value < _EQUAL:
        return "equal", _EQUAL
    low, high = limits.low.get(name), limits.high.get(name)
    if kind == "signal":
        low = max(low or 0.0, _NOISE_ALONE)
    if low is not None and value < low:
        return "small" if kind == "scale" else _sentence(name), low
    return (_sentence(name), high) if high is not None and value > high else None


def _sentence(name: str) -> str:
    kind, _, plane = name.partition(" ")
    return f"{kind} field" if not plane and f"{kind} field" in _SENTENCES else kind


_SENTENCES = {
    "constant": "The {plane} plane is empty: all of its pixels have one grey level.",
    "saturated": "{value:.1%} of the pixels of the {plane} plane are saturated, usual are up to {limit:.1%}.",
    "saturated field": "On average {value:.1%} of the pixels of a plane are saturated, usual are up to {limit:.1%}.",
    "brightness": "The {plane} plane is dark: 99.9% of its pixels lie below {value:.1%} of white.",
    "white": "99.9% of the pixels of the {plane} plane lie below a tenth of white: the white level may be wrong.",
    "gaps": "The {plane} plane lacks {value:.0%} of its grey levels: bits were dropped or grey levels were stretched.",
    "noise": "The {plane} plane has noise of {value:.1f}% of white, usual is up to {limit:.1f}%.",
    "signal": "The {plane} plane shows no cells: structures of their size are {value:.1f} times as strong as noise.",
    "focus": "The {plane} plane is out of focus.",
    "focus field": "The field is out of focus.",
    "unlike": "Two planes are almost the same: one may have been copied or may bleed into the other.",
    "equal": "Two planes are the same.",
    "small": "Nuclei look smaller than usual: the pixel size may differ from that of the training.",
    "scale": "Nuclei look larger than usual: the pixel size may differ from that of the training.",
    "swapped": "The green plane looks like nuclei and the blue plane does not: they may be swapped.",
}
