"""Says how the files of fields are read: names of channels, z, white level, pixel size and scale of training."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from hpa_sdk.errors import SettingError
from hpa_sdk.fields.samples import Channel

PATTERNS = {
    "hpa": r"(?P<field>.+)_(?P<channel>(?i:red|green|blue|yellow))",
    # LAS X adds words such as RAW: those behind z and behind the channel go on with the name of the field.
    "leica": r"(?P<field>.+?)(?:(?:--|_)[Tt](?P<time>\d+))?"
    r"(?:(?:--|_)[Zz](?P<z>\d+)(?P<field_word>(?:(?:--|_)(?![TtZzC]\d)(?!ch\d)[^\W_]+)*))?"
    r"(?:--C|_ch)(?P<channel>\d+)(?P<field_suffix>(?:_(?i:sv|raw|lng|lvcc|crop\d*|processed\d*|s\d+))*)",
}
"""Patterns of file names that have a name of their own."""

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Index = Annotated[int, msgspec.Meta(ge=0)]
Alias = Annotated[str, msgspec.Meta(min_length=1)] | Index
# A tuple of fixed length beside a number with a limit makes msgspec 0.22 read memory that is not its own.
WhiteLevels = Annotated[tuple[Positive, ...], msgspec.Meta(min_length=len(Channel), max_length=len(Channel))]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a station file: a key that it does not know is an error."""


class Files(Table, frozen=True, kw_only=True):
    """What the microscope writes.

    Attributes
    ----------
    pattern : str or None
        Key of `PATTERNS`, or a regular expression with the groups ``field`` and ``channel``, and ``z`` and ``time``
        where names tell them, that fits a file name without its extension; each time is a field of its own. A position
        belongs into ``field``. None: each file is a stack.
    recursive : bool
        Whether the folders below the watched one count too.
    z : str or int
        ``"max"`` for the brightest value along z, ``"middle"``, or a plane counted from 0, in the order of the numbers
        in file names.
    white : optional
        As for `hpa_sdk.preprocessing.Preprocessing.white_levels`.
    pixel_size : float or None
        Micrometres a pixel, in place of what files say.
    missing_chunks : str
        ``"refuse"`` an OME-Zarr picture with chunks that are not there, or ``"fill"`` them with the fill value.
    """

    pattern: str | None = None
    recursive: bool = False
    z: Literal["max", "middle"] | Index = "max"
    white: Positive | WhiteLevels | Literal["dtype", "percentile"] | None = None
    pixel_size: Positive | None = None
    missing_chunks: Literal["refuse", "fill"] = "refuse"


class ChannelNames(Table, frozen=True, kw_only=True):
    """What each channel is called in files: names whatever their capitals, or numbers."""

    red: tuple[Alias, ...] = ("red",)
    green: tuple[Alias, ...] = ("green",)
    blue: tuple[Alias, ...] = ("blue",)
    yellow: tuple[Alias, ...] = ("yellow",)


class Without(Table, frozen=True, kw_only=True):
    """What takes the place of a channel that a field does not have: nothing, a black plane, or another channel."""

    red: Literal["empty", "green", "blue", "yellow"] | None = None
    green: Literal["empty", "red", "blue", "yellow"] | None = None
    blue: Literal["empty", "red", "green", "yellow"] | None = None
    yellow: Literal["empty", "red", "green", "blue"] | None = None


class Trained(Table, frozen=True, kw_only=True):
    """The fields that a model was trained on.

    Attributes
    ----------
    pixel_size : float
        Micrometres a pixel.
    side : int
        Height and width in pixels.
    """

    pixel_size: Positive
    side: Annotated[int, msgspec.Meta(ge=16, le=8192)]


class FieldRules(Table, frozen=True, kw_only=True):
    """How the files of fields are read.

    Attributes
    ----------
    files : Files
        What the microscope writes.
    channels : ChannelNames
        What it calls the channels.
    without : Without
        How to do without a channel.
    trained : Trained or None
        The fields that the model was trained on, in place of what its card says; if neither does, nothing is rescaled.
    """

    files: Files = Files()
    channels: ChannelNames = ChannelNames()
    without: Without = Without()
    trained: Trained | None = None

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """The compiled pattern of file names."""
        named = self.files.pattern
        return None if named is None else re.compile(PATTERNS.get(named, named))

    @classmethod
    def of(
        cls,
        *,
        channels: Mapping[str, str | int | Sequence[str | int]] | None = None,
        without: Mapping[str, str] | None = None,
        **files: object,
    ) -> FieldRules:
        """Make rules of plain values.

        Parameters
        ----------
        channels : mapping of str to str, int or sequence of these, optional
            What files call ``red``, ``green``, ``blue`` and ``yellow``: names whatever their capitals, or numbers.
        without : mapping of str to str, optional
            What takes the place of a channel that fields do not have: ``"empty"`` or another channel.
        **files
            Attributes of `Files`: ``z``, ``pixel_size``, ``pattern``, ``white``, ``recursive``.

        Raises
        ------
        SettingError
            A value can't be used; the message names it.
        """
        listed = {
            channel: [names] if isinstance(names, (str, int)) else list(names)
            for channel, names in (channels or {}).items()
        }
        try:
            rules = msgspec.convert({"channels": listed, "without": dict(without or {}), "files": files}, cls)
            rules.check()
        except ValueError as error:
            raise SettingError(str(error), remedy="Give another value.") from error
        return rules

    def check(self) -> None:
        """Check what the types of the values do not.

        Raises
        ------
        ValueError
            The pattern is no regular expression with the groups that it needs, or one name stands for two channels.
        """
        _check_pattern(self)
        _check_channels(self)


def _check_pattern(rules: FieldRules) -> None:
    try:
        pattern = rules.pattern
    except re.error as error:
        raise ValueError(f"the pattern is no regular expression: {error} - at `$.files.pattern`") from error
    if pattern and not {"field", "channel"} <= set(pattern.groupindex):
        raise ValueError("the pattern has no groups (?P<field>...) and (?P<channel>...) - at `$.files.pattern`")


def _check_channels(rules: FieldRules) -> None:
    owner: dict[str | int, Channel] = {}
    for channel in Channel:
        aliases: tuple[str | int, ...] = getattr(rules.channels, channel)
        for alias in {fold(alias) for alias in aliases}:
            if alias in owner:
                raise ValueError(f"{alias!r} stands for {owner[alias]} and for {channel} - at `$.channels.{channel}`")
            owner[alias] = channel


def fold(alias: str | int) -> str | int:
    """Bring a channel's name to the form in which names are compared: without outer spaces and capitals."""
    return alias.strip().casefold() if isinstance(alias, str) else alias
