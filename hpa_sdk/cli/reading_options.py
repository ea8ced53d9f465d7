"""Options for reading the files of fields, for every command that reads them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hpa_sdk.fields.rules import PATTERNS, FieldRules
from hpa_sdk.fields.samples import Channel
from hpa_sdk.preprocessing import White
from hpa_sdk.workstation.station import read_station

Command = TypeVar("Command", bound=Callable[..., Any])


class _Pair(click.ParamType[tuple[str, str]]):
    name = "COLOUR=NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        colour, equals, name = str(value).partition("=")
        if colour.lower() not in set(Channel) or not equals or not name.strip():
            self.fail(f"{value!r} is not of the form COLOUR=NAME; a COLOUR is {', '.join(Channel)}", param, ctx)
        return colour.lower(), name.strip()


_OPTIONS = (
    click.option("--station", type=click.Path(path_type=Path), help="Station file that says how files are read."),
    click.option(
        "--channel",
        "channels",
        type=_Pair(),
        multiple=True,
        help="What stacks call a channel: its name or number, such as red=MT or blue=0; several times for several.",
    ),
    click.option(
        "--without",
        type=_Pair(),
        multiple=True,
        metavar="COLOUR=OTHER",
        help="What takes the place of a channel that fields do not have: yellow=empty or yellow=red.",
    ),
    click.option("--z", help="Of planes along z: max, middle, or one counted from 0. Default: max."),
    click.option("--pixel-size", type=click.FloatRange(min=0, min_open=True), help="Micrometres a pixel."),
    click.option("--pattern", help=f"Of file names: {', '.join(PATTERNS)}, or a regular expression."),
)


def reading_options(command: Command) -> Command:
    """Add the options to a command, which passes them to `rules_from` by their names."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def rules_from(
    *,
    station: Path | None,
    channels: tuple[tuple[str, str], ...],
    without: tuple[tuple[str, str], ...],
    z: str | None,
    pixel_size: float | None,
    pattern: str | None,
) -> FieldRules | None:
    """Create the rules of the options; None if there are none.

    Raises
    ------
    SettingError
        The station file can't be read, or a value can't be used.
    """
    given = {"z": _number(z), "pixel_size": pixel_size, "pattern": pattern}
    files = {name: value for name, value in given.items() if value is not None}
    if station is not None:
        if channels or without or files:
            raise click.UsageError("--station says how files are read: give it alone, or the other options.")
        return read_station(station)
    if not (channels or without or files):
        return None
    names: defaultdict[str, list[str | int]] = defaultdict(list)
    for colour, name in channels:
        names[colour].append(_number(name) or 0 if name.isdecimal() else name)
    return FieldRules.of(channels=names, without=dict(without), **files)


def white_for(white: White | None, rules: FieldRules | None) -> White | None:
    """Return the white level of an option; without one, that of the rules."""
    return rules.files.white if white is None and rules is not None else white


def _number(text: str | None) -> str | int | None:
    return int(text) if text is not None and text.isdecimal() else text
