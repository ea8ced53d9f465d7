"""Shared parts of the commands that run at a microscope: a station without a file, and a clean shutdown."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from hpa_sdk.cli.parameters import ModelPath, card_option, ensemble_options
from hpa_sdk.errors import SettingError
from hpa_sdk.workstation.station import Station, read_station

# The signals by which services and consoles end a program; each system has its own.
_ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]


def station_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a station to a command."""
    for decorate in reversed(_OPTIONS):
        command = decorate(command)
    return command


_OPTIONS = (
    click.argument("file", metavar="STATION|MODEL", type=ModelPath()),
    click.argument("folder", required=False, type=click.Path(path_type=Path)),
    click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for results.  [default: FOLDER]"),
    card_option,
    ensemble_options(views=None),
    click.option("--device", help="auto, cpu, cuda, cuda:1, tensorrt or openvino.  [default: auto]"),
    click.option("--threshold", metavar="card|FLOAT", help="Probability that counts.  [default: card]"),
    click.option("--white", metavar="FLOAT|dtype|percentile", help="White level of 16-bit planes."),
    click.option("-r", "--recursive", is_flag=True, default=None, help="Watch the folders below FOLDER too."),
    click.option("--cells", is_flag=True, default=None, help="Answer the cells of each field too."),
    click.option(
        "--masks",
        type=click.Path(path_type=Path),
        help="Answer the cells of label images in a folder, one for each field, by its id.",
    ),
    click.option(
        "--existing",
        type=click.Choice(["do", "skip"]),
        default="do",
        show_default=True,
        help="What to do with files that are there at the very first start.",
    ),
)


@contextmanager
def stop_when_asked() -> Iterator[threading.Event]:
    """Yield an event that is set when the system or the console asks the program to end."""
    stop = threading.Event()

    def ask(*_: object) -> None:
        # On a thread, because the handler may interrupt this one while it holds the event's own lock.
        threading.Thread(target=stop.set).start()

    before = {end: signal.signal(end, ask) for end in _ENDS}
    try:
        yield stop
    finally:
        for end, handler in before.items():
            signal.signal(end, handler)


def read_station_alone(file: Path, output: Path | None, settings: dict[str, Any]) -> Station:
    """Read a station file, which leaves no setting to the command line.

    Raises
    ------
    click.UsageError
        Settings were given.
    SettingError
        As for `hpa_sdk.workstation.station.read_station`.
    """
    if output is not None or _given(settings):
        raise click.UsageError("With a station file there are no other settings: write them into it.")
    return read_station(file)


def plain_station(model: Path, folder: Path, output: Path, settings: dict[str, Any]) -> Station:
    """Create the station of a command line: fields of four files, and the options that were given."""
    given = {key: _number(value) for key, value in _given(settings).items()}
    files = {"pattern": "hpa"} | {key: given.pop(key) for key in ("white", "recursive") if key in given}
    paths = {"model": model, "watch": folder, "output": output}
    wanted, masks = given.pop("cells", None), given.pop("masks", None)
    cells = {"cells": {"masks": masks}} if wanted or masks else {}
    try:
        return msgspec.convert({**paths, **given, **cells, "files": files}, Station)
    except msgspec.ValidationError as error:
        raise SettingError(str(error), remedy="Give this option a value that it can have.") from error


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave out options that were not given; repeatable ones are empty then."""
    return {key: value for key, value in settings.items() if value not in {None, ()}}


def _number(value: str | bool | Path | tuple[Path, ...]) -> object:
    if isinstance(value, (bool, Path, tuple)):
        return value
    try:
        return int(value) if value.isdecimal() else float(value)
    except ValueError:
        return value.lower()  # words in any letter case
