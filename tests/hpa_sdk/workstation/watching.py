"""Runs a hot folder on a thread, on small fields and with short times."""

from __future__ import annotations

import csv
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hpa_sdk.fields.samples import Sample
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.result_store import TABLE, ResultStore
from hpa_sdk.workstation import arrivals
from hpa_sdk.workstation.hot_folder import HotFolder
from hpa_sdk.workstation.station import Station, read_station
from tests.small import make_field

SETTLE = 0.15
QUICK = 0.04
"""For files that settle by an `ArrivalClock`, so that only the looks take as long."""

RNG = np.random.default_rng(5)


def make_station(
    folder: Path, model: Path, *, text: str = "", files: str = 'pattern = "hpa"', **arrival: Any
) -> Station:
    """Write a station file with folders ``exports`` and ``answers`` beside it, and read it."""
    for name in ("exports", "answers"):
        (folder / name).mkdir(exist_ok=True)
    times = {"settle_seconds": SETTLE, "plane_timeout_seconds": 60, **arrival}
    path = folder / "station.toml"
    lines = [
        f"model = '{model}'",
        "watch = 'exports'\noutput = 'answers'\ndevice = 'cpu'",
        text,
        f"[files]\n{files}\n[arrival]",
        *(f"{key} = {value}" for key, value in times.items()),
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return read_station(path)


@contextmanager
def watching(station: Station, *, predictor: Any = None, **options: Any) -> Iterator[ResultStore]:
    """Watch in the block, and give the store."""
    loaded = predictor or Predictor.load(station.model, device="cpu", white=station.files.white)
    stop = threading.Event()
    with ResultStore(station.output, ledger=station.ledger) as store:
        hot_folder = HotFolder(station, loaded, store, **options)
        failures: list[BaseException] = []

        def run() -> None:
            try:
                hot_folder.run(stop)
            except BaseException as error:  # noqa: BLE001 - raised again below
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield store
        finally:
            stop.set()
            thread.join()
        if failures:
            raise failures[0]


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until a condition is met."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


class ArrivalClock:
    """The clock by which files settle and planes are waited for: it stands still but for what a test lets pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = 0.0
        self._looks = 0
        monkeypatch.setattr(arrivals, "time", SimpleNamespace(monotonic=self._look))

    def let_pass(self, seconds: float) -> None:
        """Let what is there be seen, then time go by, and then what is there be seen again."""
        self._see()
        self._now += seconds
        self._see()

    def _look(self) -> float:
        self._looks += 1
        return self._now

    def _see(self) -> None:
        # When the second of two looks begins, all that the first led to is done.
        seen = self._looks
        wait_until(lambda: self._looks >= seen + 2)


def rows(folder: Path) -> list[dict[str, str]]:
    """Read the table of results."""
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def planes(folder: Path, name: str, **form: Any) -> Sample:
    """Write a field of noise to the watched folder."""
    return make_field(folder / "exports", name, RNG, **form)


def json_of(folder: Path, name: str) -> Any:
    """Read a field's JSON file."""
    return json.loads((folder / "answers" / f"{name}.json").read_text(encoding="utf-8"))


def settled() -> None:
    """Wait for as long as a mistaken second answer would take to come."""
    time.sleep(6 * SETTLE)
