"""Reads the station file: all that one microscope's computer needs to be told, once."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from hpa_sdk.errors import SettingError
from hpa_sdk.samples import Channel
from hpa_sdk.whole_file import whole_file

PATTERNS = {
    "hpa": r"(?P<field>.+)_(?P<channel>(?i:red|green|blue|yellow))",
    "leica": r"(?P<field>.+?)(?:(?:--|_)[Tt](?P<time>\d+))?(?:(?:--|_)[Zz](?P<z>\d+))?(?:--C|_ch)(?P<channel>\d+)",
}
"""Patterns of file names that have a name of their own."""

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Index = Annotated[int, msgspec.Meta(ge=0)]
Alias = Annotated[str, msgspec.Meta(min_length=1)] | Index
# A tuple of fixed length beside a number with a limit makes msgspec 0.22 read memory that is not its own.
WhiteLevels = Annotated[tuple[Positive, ...], msgspec.Meta(min_length=len(Channel), max_length=len(Channel))]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Files(_Table, frozen=True, kw_only=True):
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
    """

    pattern: str | None = None
    recursive: bool = False
    z: Literal["max", "middle"] | Index = "max"
    white: Positive | WhiteLevels | Literal["dtype", "percentile"] | None = None
    pixel_size: Positive | None = None


class ChannelNames(_Table, frozen=True, kw_only=True):
    """What each channel is called in files: names whatever their capitals, or numbers."""

    red: tuple[Alias, ...] = ("red",)
    green: tuple[Alias, ...] = ("green",)
    blue: tuple[Alias, ...] = ("blue",)
    yellow: tuple[Alias, ...] = ("yellow",)


class Without(_Table, frozen=True, kw_only=True):
    """What takes the place of a channel that a field does not have: nothing, a black plane, or another channel."""

    red: Literal["empty", "green", "blue", "yellow"] | None = None
    green: Literal["empty", "red", "blue", "yellow"] | None = None
    blue: Literal["empty", "red", "green", "yellow"] | None = None
    yellow: Literal["empty", "red", "green", "blue"] | None = None


class Trained(_Table, frozen=True, kw_only=True):
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


class Arrival(_Table, frozen=True, kw_only=True):
    """When a file counts as written, and how long a field waits for its last one.

    Attributes
    ----------
    settle_seconds : float
        For how long it must not change.
    looks : int
        In how many looks it must be seen unchanged.
    plane_timeout_seconds : float
        For how long a field waits for a plane that is missing or can't be opened, before it counts as failed.
    """

    settle_seconds: Positive = 2.0
    looks: Count = 2
    plane_timeout_seconds: Positive = 60.0


class Station(_Table, frozen=True, kw_only=True):
    """What one microscope's computer does. The keys of the station file are these attributes.

    Attributes
    ----------
    model, watch, output : pathlib.Path
        The model file, the folder that the microscope writes to, and the one for answers.
    device : str
        As for `hpa_sdk.Predictor.load`.
    gpu_memory : float or None
        GiB of a graphics card's memory that the model may take.
    threshold : float or "card"
        As for `hpa_sdk.Predictor.load`.
    ledger : pathlib.Path or None
        The file that tells what is done; None for one in the folder for answers.
    files : Files
        What the microscope writes.
    channels : ChannelNames
        What it calls the channels.
    without : Without
        How to do without a channel.
    trained : Trained or None
        The fields that the model was trained on, in place of what its card says; if neither does, nothing is rescaled.
    arrival : Arrival
        When a file counts as written.
    """

    model: Path
    watch: Path
    output: Path
    device: str = "auto"
    gpu_memory: Positive | None = None
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | Literal["card"] = "card"
    ledger: Path | None = None
    files: Files = Files()
    channels: ChannelNames = ChannelNames()
    without: Without = Without()
    trained: Trained | None = None
    arrival: Arrival = Arrival()

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """The compiled pattern of file names."""
        named = self.files.pattern
        return None if named is None else re.compile(PATTERNS.get(named, named))


def read_station(path: Path) -> Station:
    """Read a station file.

    Relative paths in it start at its own folder.

    Raises
    ------
    SettingError
        The file can't be read, or one of its keys is unknown or has a value that can't be used; the message names it.
    """

    def to_path(kind: type, value: Any) -> Path:  # noqa: ANN401, ARG001 - msgspec's signature
        if not isinstance(value, str):
            raise TypeError("expected a path")
        return path.parent / value

    try:
        station = msgspec.toml.decode(path.read_text(encoding="utf-8-sig"), type=Station, dec_hook=to_path)
        _check_pattern(station)
        _check_channels(station)
    except OSError as error:
        raise SettingError(
            f"the station file can't be read ({error.strerror})",
            where=path,
            remedy="'hpa station init' writes one to start from.",
        ) from error
    except (ValueError, RecursionError) as error:  # msgspec's, and those of the checks below
        raise SettingError(str(error), where=path, remedy="Mend this key of the station file.") from error
    return station


def write_template(path: Path) -> None:
    """Write a commented station file to start from, never over an existing one.

    Raises
    ------
    SettingError
        Something lies there already.
    OutputError
        No file can be written there.
    """
    if path.exists():
        raise SettingError("something lies here already", where=path, remedy="Name a file that does not exist yet.")
    with whole_file(path) as partial:
        partial.write_bytes(resources.files("hpa_sdk.workstation").joinpath("station.toml").read_bytes())


def _check_pattern(station: Station) -> None:
    try:
        pattern = station.pattern
    except re.error as error:
        raise ValueError(f"the pattern is no regular expression: {error} - at `$.files.pattern`") from error
    if pattern and not {"field", "channel"} <= set(pattern.groupindex):
        raise ValueError("the pattern has no groups (?P<field>...) and (?P<channel>...) - at `$.files.pattern`")


def _check_channels(station: Station) -> None:
    owner: dict[str | int, Channel] = {}
    for channel in Channel:
        aliases: tuple[str | int, ...] = getattr(station.channels, channel)
        for alias in {fold(alias) for alias in aliases}:
            if alias in owner:
                raise ValueError(f"{alias!r} stands for {owner[alias]} and for {channel} - at `$.channels.{channel}`")
            owner[alias] = channel


def fold(alias: str | int) -> str | int:
    """Bring a channel's name to the form in which names are compared: without outer spaces and capitals."""
    return alias.strip().casefold() if isinstance(alias, str) else alias
