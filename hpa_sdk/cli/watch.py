"""``hpa watch``: predicts label sets for fields as a microscope writes them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Literal

import click

from hpa_sdk.cli.log_options import show
from hpa_sdk.cli.station_options import plain_station, read_station_alone, station_options, stop_when_asked
from hpa_sdk.errors import count_of
from hpa_sdk.results.result import Result
from hpa_sdk.workstation.hot_folder import HotFolder
from hpa_sdk.workstation.station import Station
from hpa_sdk.workstation.station_setup import load_predictor, open_store


@click.command()
@station_options
def watch(
    file: Path, folder: Path | None, output: Path | None, existing: Literal["do", "skip"], **settings: Any
) -> None:
    """Answer each field that arrives, until stopped: hpa watch STATION, or hpa watch MODEL FOLDER.

    STATION is a station file ('hpa station init' writes one) and says everything. With MODEL and FOLDER, fields are
    four files <id>_red, _green, _blue and _yellow. Results are one JSON file a field, and the table hpa-results.csv.
    The exit code is 0 when all was well until the stop, 1 when some fields failed, 2 when nothing could start.
    """
    if folder is not None:
        station = plain_station(file, folder, output or folder, settings)
    else:
        station = read_station_alone(file, output, settings)
    with stop_when_asked() as stop:
        failed = _watch(station, existing, stop)
    if failed:
        show(f"{count_of(failed, 'field')} failed; the results say why.")
        click.get_current_context().exit(1)


def _watch(station: Station, existing: Literal["do", "skip"], stop: threading.Event) -> int:
    failed = 0

    def report(result: Result) -> None:
        nonlocal failed
        failed += result.error is not None
        show(f"{result.id}: {result.error or '; '.join(result.labels) or 'no label'}")

    def warn(result: Result) -> None:
        show(f"{result.id}: warning: {' '.join(result.warnings)}")

    with open_store(station) as store:
        predictor = load_predictor(station)
        hot_folder = HotFolder(station, predictor, store, existing=existing, on_result=report, on_warning=warn)
        show(f"Watching {station.watch} on {predictor.device}; Ctrl-C ends it.")
        hot_folder.run(stop)
    return failed
