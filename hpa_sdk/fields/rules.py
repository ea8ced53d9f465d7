"""Defines how the files of fields are read: channel names, z, white level, pixel size and scale of training."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import msgspec

from hpa_sdk.errors import SettingError
from hpa_sdk.fields.samples import Channel

PATTERNS = {
    "hpa": r"(?P<field>.+)_(?P<channel>(?i:red|green|blue|yellow))",
    # LAS X adds words such as RAW. Those after z and after the channel belong to the name of the field.
    "leica": r"(?P<field>.+?)(?:(?:--|_)[Tt](?P<time>\d+))?"
    r"(?:(?:--|_)[Zz](?P<z>\d+)(?P<field_word>(?:(?:--|_)(?![TtZzC]\d)(?!ch\d)[^\W_]+)*))?"
    r"(?:--C|_ch)(?P<channel>\d+)(?P<field_suffix>(?:_(?i:sv|raw|lng|lvcc|crop\d*|processed\d*|s\d+))*)",
}
"""Named patterns of file names."""

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Index = Annotated[int, msgspec.Meta(ge=0)]
Alias = Annotated[str, msgspec.Meta(min_length=1)] | Index
# A tuple of fixed length next to a number with a limit makes msgspec 0.22 read memory out of bounds.
WhiteLevels = Annotated[tuple[Positive, ...], msgspec.Meta(min_length=len(Channel), max_length=len(Channel))]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a station file. An unknown key is an error."""


class Files(Table, frozen=True, kw_only=True):
    """The files that the microscope writes.

    Attributes
    ----------
    pattern : str or None
        Key of `PATTERNS`, or a regular expression that matches a file name without its extension. It has the groups
        ``field`` and ``channel``, and ``z`` and ``time`` if names contain them. Each time point is a separate field. A
        position belongs in ``field``. None: each file is a stack.
    recursive : bool
        Whether to include the folders below the watched one.
    z : str or int
        ``"max"`` for the maximum along z, ``"middle"``, or the index of a plane from 0, in the order of the numbers in
        file names.
    white : optional
        As for `hpa_sdk.preprocessing.Preprocessing.white_levels`.
    pixel_size : float or None
        Micrometres per pixel. Overrides the value in files.
    missing_chunks : str
        ``"refuse"`` an OME-Zarr picture with missing chunks, or ``"fill"`` them with the fill value.
    """

    pattern: str | None = None
    recursive: bool = False
    z: Literal["max", "middle"] | Index = "max"
    white: Positive | WhiteLevels | Literal["dtype", "percentile"] | None = None
    pixel_size: Positive | None = None
    missing_chunks: Literal["refuse", "fill"] = "refuse"


class ChannelNames(Table, frozen=True, kw_only=True):
    """The names of each channel in files, in any letter case, or their numbers."""

    red: tuple[Alias, ...] = ("red",)
    green: tuple[Alias, ...] = ("green",)
    blue: tuple[Alias, ...] = ("blue",)
    yellow: tuple[Alias, ...] = ("yellow",)


class Without(Table, frozen=True, kw_only=True):
    """The replacement for each channel that a field does not have: none, a black plane, or another channel.

    A channel that the model does not take is ``"unused"``: it is not read. Only a model's card can say so.
    """

    red: Literal["empty", "unused", "green", "blue", "yellow"] | None = None
    green: Literal["empty", "unused", "red", "blue", "yellow"] | None = None
    blue: Literal["empty", "unused", "red", "green", "yellow"] | None = None
    yellow: Literal["empty", "unused", "red", "green", "blue"] | None = None


class Trained(Table, frozen=True, kw_only=True):
    """Size and scale of the fields that a model was trained on.

    Attributes
    ----------
    pixel_size : float
        Micrometres per pixel.
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
        The files that the microscope writes.
    channels : ChannelNames
        Its channel names.
    without : Without
        The replacements for missing channels.
    trained : Trained or None
        Size and scale of the training fields. Overrides the model card. If neither gives them, nothing is rescaled.
    """

    files: Files = Files()
    channels: ChannelNames = ChannelNames()
    without: Without = Without()
    trained: Trained | None = None

    @property
    def unused(self) -> frozenset[Channel]:
        """The channels that are not read."""
        return frozenset(channel for channel in Channel if getattr(self.without, channel) == "unused")

    def ignoring(self, channels: Collection[Channel]) -> Self:
        """Return the rules for a model that does not take these channels: they are not read."""
        if not channels:
            return self
        without = msgspec.structs.replace(self.without, **{channel.value: "unused" for channel in channels})
        return msgspec.structs.replace(self, without=without)

    def reading(self, channels: Collection[str]) -> Self:
        """Return the rules that read these channels too, even if the model does not take them."""
        read = {channel: None for channel in channels if getattr(self.without, channel) == "unused"}
        return msgspec.structs.replace(self, without=msgspec.structs.replace(self.without, **read)) if read else self

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
        """Make rules from plain values.

        Parameters
        ----------
        channels : mapping of str to str, int or sequence of these, optional
            The names of ``red``, ``green``, ``blue`` and ``yellow`` in files, in any letter case, or their numbers.
        without : mapping of str to str, optional
            The replacement for a channel that fields do not have: ``"empty"`` or another channel.
        **files
            Attributes of `Files`: ``z``, ``pixel_size``, ``pattern``, ``white``, ``recursive``.

        Raises
        ------
        SettingError
            A value can't be used. The message names it.
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

    def to_plain(self) -> dict[str, Any]:
        """Return the rules as values of JSON, without further settings of a station."""
        return {name: msgspec.to_builtins(getattr(self, name)) for name in FieldRules.__struct_fields__}

    def check(self) -> None:
        """Check what the types can't express.

        Raises
        ------
        ValueError
            The pattern is not a regular expression with the required groups, one name is used for two channels, or a
            channel is ``"unused"``.
        """
        _check_pattern(self)
        _check_channels(self)
        for channel in Channel:
            if getattr(self.without, channel) == "unused":
                raise ValueError(f"'unused' takes the place of no channel - at `$.without.{channel}`")


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
    """Normalize a channel name for comparison: without surrounding spaces, in one letter case."""
    return alias.strip().casefold() if isinstance(alias, str) else alias
