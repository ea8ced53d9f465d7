"""Prints each field with a wanted label as a microscope writes it: python examples/hot_folder.py STATION LABEL."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from hpa_sdk.labels import Label
from hpa_sdk.results import Result
from hpa_sdk.workstation import HotFolder, load_predictor, open_store, read_station


def follow(station_file: Path, label: Label, stop: threading.Event) -> None:
    """Watch until the event is set; results go to the output of the station file, as with 'hpa watch'."""
    station = read_station(station_file)

    def report(result: Result) -> None:
        if label in result.indices:
            print(f"{result.id}: {label} with probability {result.probabilities[label]:.2f}", flush=True)

    with open_store(station) as store:
        HotFolder(station, load_predictor(station), store, on_result=report).run(stop)


def main(station_file: str, label: str) -> None:
    """Watch until Ctrl-C."""
    try:
        follow(Path(station_file), Label.from_name(label), threading.Event())
    except KeyboardInterrupt:
        print("stopped; what was not answered is, at the next start")


if __name__ == "__main__":
    main(*sys.argv[1:])
