"""``hpa watch``: label sets for fields as a microscope writes them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from hpa_sdk.errors import SettingError
from hpa_sdk.workstation.hot_folder import HotFolder
from hpa_sdk.workstation.opening import load_predictor, open_store
from hpa_sdk.workstation.results import Result
from hpa_sdk.workstation.station import Station, read_station

# What services and consoles ask a program to end with; each system has its own.
_ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]


@click.command()
@click.argument("file", metavar="STATION|MODEL", type=click.Path(path_type=Path))
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for results. Default: FOLDER.")
@click.option("--device", help="auto, cpu, cuda, cuda:1, tensorrt or openvino.  [default: auto]")
@click.option("--threshold", metavar="card|FLOAT", help="Probability that counts.  [default: card]")
@click.option("--white", metavar="FLOAT|dtype|percentile", help="White level of 16-bit planes.")
@click.option("-r", "--recursive", is_flag=True, default=None, help="Watch the folders below FOLDER too.")
@click.option(
    "--existing",
    type=click.Choice(["do", "skip"]),
    default="do",
    show_default=True,
    help="What to do with files that are there at the very first start.",
)
def watch(
    file: Path, folder: Path | None, output: Path | None, existing: Literal["do", "skip"], **settings: Any
) -> None:
    """Answer each field that arrives, until stopped: hpa watch STATION, or hpa watch MODEL FOLDER.

    STATION is a station file ('hpa station init' writes one) and says everything. With MODEL and FOLDER, fields are
    four files <id>_red, _green, _blue and _yellow. Results are one JSON file a field, and the table hpa-results.csv.
    The exit code is 0 when all was well until the stop, 1 when some fields failed, 2 when nothing could start.
    """
    if folder is not None:
        station = _plain_station(file, folder, output or folder, settings)
    elif output is not None or any(value is not None for value in settings.values()):
        raise click.UsageError("With a station file there are no other settings: write them into it.")
    else:
        station = read_station(file)
    with _stop_when_asked() as stop:
        failed = _watch(station, existing, stop)
    if failed:
        click.echo(f"{failed} fields failed; the results say why.", err=True)
        click.get_current_context().exit(1)


@contextmanager
def _stop_when_asked() -> Iterator[threading.Event]:
    """Give an event that is set when the system or the console asks the program to end."""
    stop = threading.Event()

    def ask(*_: object) -> None:
        # On a thread, since the handler may interrupt this one while it holds the event's own lock.
        threading.Thread(target=stop.set).start()

    before = {end: signal.signal(end, ask) for end in _ENDS}
    try:
        yield stop
    finally:
        for end, handler in before.items():
            signal.signal(end, handler)


def _plain_station(model: Path, folder: Path, output: Path, settings: dict[str, Any]) -> Station:
    given = {key: _number(value) for key, value in settings.items() if value is not None}
    files = {"pattern": "hpa"} | {key: given.pop(key) for key in ("white", "recursive") if key in given}
    places = {"model": model, "watch": folder, "output": output}
    try:
        return msgspec.convert({**places, **given, "files": files}, Station)
    except msgspec.ValidationError as error:
        raise SettingError(str(error), remedy="Give this option a value that it can have.") from error


def _number(value: str | bool) -> object:
    try:
        return value if isinstance(value, bool) else float(value)
    except ValueError:
        return value


def _watch(station: Station, existing: Literal["do", "skip"], stop: threading.Event) -> int:
    failed = 0

    def tell(result: Result) -> None:
        nonlocal failed
        failed += result.error is not None
        click.echo(f"{result.id}: {result.error or '; '.join(result.labels) or 'no label'}", err=True)

    with open_store(station) as store:
        predictor = load_predictor(station)
        hot_folder = HotFolder(station, predictor, store, existing=existing, tell=tell)
        click.echo(f"Watching {station.watch} on {predictor.device}; Ctrl-C ends it.", err=True)
        hot_folder.run(stop)
    return failed
