"""Compares parts of plane file names: z planes by their numbers, and the text that the pattern leaves out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

ZKey = Decimal | str
"""The key to compare and sort z planes: a number, or the text if not all of them are numbers."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")
_WITH_DIGIT = re.compile(r"[^\W_]*\d[^\W_]*")
_CAPTURED = ("field", "time", "channel", "z")


def z_keys(texts: Iterable[str]) -> dict[str, ZKey]:
    """Return the keys to compare the z planes of a field: numbers if all of them are numbers, so that 01 equals 1."""
    texts = set(texts)
    numbers = all(map(_NUMBER.fullmatch, texts))
    return {text: Decimal(text) if numbers else text for text in texts}


def field_of(match: re.Match[str]) -> str:
    """Return the field of a file name: the group ``field``, and the groups that continue its name, in order."""
    parts = (
        (match.start(name), match[name]) for name in match.re.groupindex if name.startswith("field") and match[name]
    )
    return "".join(part for _, part in sorted(parts))


def left_out(match: re.Match[str]) -> str:
    """Return the part of a file name that a pattern matches outside its groups, with ``*`` in place of each group."""
    name, at, parts = match.string.casefold(), 0, []
    for start, end in sorted(match.span(group) for group in _CAPTURED if group in match.re.groupindex):
        if start >= at:  # -1 for a group that this name does not have
            parts.append(name[at:start])
            at = end
    return "*".join([*parts, name[at:]])


def find_mixture(names: Sequence[tuple[str, str | None, str]]) -> str:
    """Return the differences of names that the pattern combines into one field; empty if the files belong together.

    The text that the pattern leaves out may be the same in all names, or different for each channel (``w1DAPI``,
    ``w2GFP``), or different in each name (a serial number). Anything else is a position, a time or a repetition.

    Parameters
    ----------
    names : sequence of (str, str or None, str)
        For each file: channel, z, and the text that the pattern leaves out.
    """
    # A name with a z also contains what introduces it, such as the Z of "--Z00--C01". So whole texts are compared among
    # the names with a z, and among those without; among all names, only the parts with a digit.
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
