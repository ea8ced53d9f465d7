"""Compares what the names of plane files say: z planes by their numbers, and what the pattern leaves out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

ZKey = Decimal | str
"""What z planes are compared and put in order by: a number, or the text where not all of them are numbers."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")
_WITH_DIGIT = re.compile(r"[^\W_]*\d[^\W_]*")
_CAPTURED = ("field", "time", "channel", "z")


def z_keys(texts: Iterable[str]) -> dict[str, ZKey]:
    """Give what the z planes of a field are compared by: numbers where all of them are, so that 01 is 1."""
    texts = set(texts)
    numbers = all(map(_NUMBER.fullmatch, texts))
    return {text: Decimal(text) if numbers else text for text in texts}


def field_of(match: re.Match[str]) -> str:
    """Give the field that a file name is of: the group ``field``, and those that go on with its name, in order."""
    parts = (
        (match.start(name), match[name]) for name in match.re.groupindex if name.startswith("field") and match[name]
    )
    return "".join(part for _, part in sorted(parts))


def left_out(match: re.Match[str]) -> str:
    """Give the part of a file name that a pattern fits outside its groups, with ``*`` in the place of these."""
    name, at, parts = match.string.casefold(), 0, []
    for start, end in sorted(match.span(group) for group in _CAPTURED if group in match.re.groupindex):
        if start >= at:  # -1 for a group that is not in this name
            parts.append(name[at:start])
            at = end
    return "*".join([*parts, name[at:]])


def find_mixture(names: Sequence[tuple[str, str | None, str]]) -> str:
    """Say what tells apart the files of a field that the pattern joins; empty where they belong together.

    What the pattern leaves out may be the same in all names, or another one for each channel (``w1DAPI``, ``w2GFP``),
    or another one in each name (a serial number). Anything else is a position, a time or a repetition.

    Parameters
    ----------
    names : sequence of (str, str or None, str)
        Channel, z, and what the pattern leaves out, of each file.
    """
    # A name with a z also has what introduces it, as the Z of "--Z00--C01". So whole texts are compared among the names
    # with a z, and among those without; of all names, what has a digit.
    for with_z in (False, True):
        alike = [(channel, rest) for channel, z, rest in names if (z is not None) == with_z]
        if found := _mixture(alike):
            return found
    return _mixture([(channel, " ".join(_WITH_DIGIT.findall(rest))) for channel, _, rest in names])


def _mixture(names: Sequence[tuple[str, str]]) -> str:
    rests: dict[str, set[str]] = defaultdict(set)
    for channel, rest in names:
        rests[channel].add(rest)
    every = set[str]().union(*rests.values())
    for_each_channel = len(every) == sum(map(len, rests.values())) == len(rests)
    if len(every) < 2 or len(every) == len(names) or for_each_channel:  # noqa: PLR2004
        return ""
    return " and ".join(sorted(map(repr, every))[:4])
