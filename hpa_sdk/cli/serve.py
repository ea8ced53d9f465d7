"""``hpa serve``: the live page at the microscope, and the HTTP interface for programs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import click

from hpa_sdk.cli.station_options import plain_station, read_station_alone, station_options, stop_when_asked
from hpa_sdk.errors import OutputError, SettingError
from hpa_sdk.workstation.station import Station

_RESULTS = Path("hpa-results")


@click.command()
@station_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 for any that is free.")
@click.option("--token", envvar="HPA_TOKEN", help="Token that every client needs; also from the variable HPA_TOKEN.")
@click.option("--no-watch", is_flag=True, help="Only show results, as of an 'hpa watch', and answer what is sent.")
def serve(
    file: Path,
    folder: Path | None,
    host: str,
    port: int,
    token: str | None,
    no_watch: bool,
    output: Path | None,
    existing: Literal["do", "skip"],
    **settings: Any,
) -> None:
    """Show results in a browser as they come, and answer fields that are dropped there or sent by programs.

    STATION is a station file (.toml) and says everything. With MODEL and FOLDER, fields are four files <id>_red,
    _green, _blue and _yellow. The folder is watched as 'hpa watch' does it, unless --no-watch is given. With MODEL
    alone nothing is watched, and results go to the folder hpa-results here unless -o names another.
    The exit code is 0 when it was asked to end, 2 when it could not start or the device failed.
    """
    station = _station(file, folder, output, settings)
    try:
        page = import_module("hpa_sdk.live.page")
    except ImportError as error:
        raise SettingError(
            f"a package that the page needs is missing ({error})",
            remedy="Install it: pip install 'hpa-sdk[live]'.",
        ) from error
    watches = not no_watch and (folder is not None or _is_station(file))
    with stop_when_asked() as stop:
        page.run(station, host=host, port=port, token=token, watches=watches, existing=existing, stop=stop)


def _station(file: Path, folder: Path | None, output: Path | None, settings: dict[str, Any]) -> Station:
    if not _is_station(file):
        target = output or folder or _RESULTS
        if output is None and folder is None:
            _make(target)
        return plain_station(file, folder or target, target, settings)
    return read_station_alone(file, output or folder, settings)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder for results can't be made ({error.strerror})", where=folder, remedy="Name another with -o."
        ) from error


def _is_station(file: Path) -> bool:
    return file.suffix.lower() == ".toml"
