"""Picks the four channels from those of a field, by the names in the station file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.channel_stack import ChannelName
from hpa_sdk.fields.rules import FieldRules, fold
from hpa_sdk.fields.samples import Channel
from hpa_sdk.preprocessing import Planes

Found = dict[Channel, int]
"""The position of each channel that the field has."""

Instead = dict[Channel, Channel | Literal["empty", "unused"]]
"""The replacement for each channel that the field does not have, or that the model does not take."""


def pick_channels(offered: Sequence[tuple[str, int | None]], rules: FieldRules, where: Path) -> tuple[Found, Instead]:
    """Pick the four channels.

    Parameters
    ----------
    offered : sequence of (str, int or None)
        Name and number of each channel of the field. The other names of a `ChannelName` are used only if no channel
        has a first name that is looked for.
    rules : FieldRules
        The names to look for, and the replacements for missing channels.
    where : pathlib.Path
        Where the channels come from, for messages.

    Raises
    ------
    PlaneError
        A channel is missing and the station file gives no replacement, or several channels match its names.
    """
    found: Found = {}
    instead: Instead = {}
    for channel in Channel:
        if channel in rules.unused:
            instead[channel] = "unused"
            continue
        wanted = {fold(alias) for alias in getattr(rules.channels, channel)}
        fitting = _fitting(offered, wanted)
        substitute = getattr(rules.without, channel)
        if len(fitting) == 1:
            found[channel] = fitting[0]
        elif not fitting and substitute:
            instead[channel] = "empty" if substitute == "empty" else Channel(substitute)
        else:
            raise PlaneError(
                f"{'several channels are' if fitting else 'no channel is'} {channel}"
                f" (by the station file {_listed(wanted)}); there are {_named(offered)}",
                where=where,
                remedy=f"Name it, or give its number: --channel {channel}=NAME, or channels.{channel} in a station file"
                + ("." if fitting else f"; or say what takes its place: --without {channel}=empty."),
            )
    if not found or len(set(found.values())) < len(found) or not set(instead.values()) <= {"empty", "unused", *found}:
        raise PlaneError(
            f"two channels are one and the same, or the place of one is taken by one that is missing too;"
            f" there are {_named(offered)}",
            where=where,
            remedy="Mend the names under channels, and the places under without, in the station file.",
        )
    return found, instead


def fill_in(planes: dict[Channel, Planes], instead: Instead) -> dict[Channel, Planes]:
    """Return the planes of all four channels, with a black plane or a copy for each missing one."""
    black = np.zeros_like(next(iter(planes.values())))
    return planes | {
        channel: planes[other] if isinstance(other, Channel) else black for channel, other in instead.items()
    }


def _fitting(offered: Sequence[tuple[str, int | None]], wanted: set[str | int]) -> list[int]:
    """Find the channels that have one of the wanted names, or else those with one of them as a further name."""
    every = [_names(name) for name, _ in offered]
    for rank in range(max(map(len, every), default=0)):
        fitting = [
            at
            for at, (names, (_, number)) in enumerate(zip(every, offered, strict=True))
            if {*map(fold, names[rank : rank + 1]), *({number} if rank == 0 else ())} & wanted
        ]
        if fitting:
            return fitting
    return []


def _names(name: str) -> tuple[str, ...]:
    return (name, *name.others) if isinstance(name, ChannelName) else (name,)


def _listed(names: set[str | int]) -> str:
    return " or ".join(sorted(map(repr, names))) or "without a name"


def _named(offered: Sequence[tuple[str, int | None]]) -> str:
    names = (" ".join(part for part in (repr(name) * bool(name), _digits(number)) if part) for name, number in offered)
    return ", ".join(names) or "none"


def _digits(number: int | None) -> str:
    return "" if number is None else f"(number {number})"
