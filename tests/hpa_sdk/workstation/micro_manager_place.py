"""Makes a workplace with a simulated microscope, for tests of acquisitions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pymmcore_plus.experimental.unicore import UniMMCore

from hpa_sdk import Predictor
from hpa_sdk.quality.reference import Reference
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.micro_manager import FieldHandler
from hpa_sdk.workstation.station import Station, read_station
from hpa_sdk.workstation.station_setup import load_predictor, open_store
from tests.hpa_sdk.workstation.watching import wait_until
from tests.small import make_model

CHANNELS = "[channels]\nred = ['Tubulin']\ngreen = ['protein']\nblue = ['DAPI']\nyellow = ['ER']\n"


def planes(count: int, seed: int = 0, side: int = 48) -> list[npt.NDArray[Any]]:
    """Fields of 12 bits, of differing brightness, so that their answers differ."""
    rng = np.random.default_rng(seed)
    tops = rng.uniform(500, 4095, (count, 4, 1, 1))
    return list((rng.random((count, 4, side, side)) * tops).astype(np.uint16))


@dataclass
class Workplace:
    """A station with its model, predictor and store."""

    station: Station
    predictor: Predictor
    store: ResultStore

    @contextmanager
    def handler(self, predictor: Any = None, **options: Any) -> Iterator[tuple[FieldHandler, list[Result]]]:
        results: list[Result] = []
        with FieldHandler(
            self.station, predictor or self.predictor, self.store, **{"run": "run", "timeout": 20.0, **options}
        ) as handler:
            handler.answered.connect(results.append)
            yield handler, results

    def expected(self, fields: list[npt.NDArray[Any]]) -> list[npt.NDArray[np.float32]]:
        """The probabilities of planes as they are."""
        return [prediction.probabilities for prediction in self.predictor.predict_planes(fields)]


class Gate:
    """What a predictor waits for, a minute at most; `passed` says whether the wait is over."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self.passed = False

    def wait(self) -> None:
        """Wait until it is open."""
        self._opened.wait(60)
        self.passed = True

    def open(self) -> None:
        """Let all pass."""
        self._opened.set()


class Stubborn:
    """A predictor that waits, or raises, before it asks the real one."""

    def __init__(self, predictor: Predictor, before: Callable[[str], object]) -> None:
        self._predictor = predictor
        self._before = before
        self.device = predictor.device
        self.model = predictor.model
        self.card = predictor.card
        self.others, self.views = predictor.others, predictor.views

    def predict(self, sample: Any, **options: Any) -> Any:
        self._before(sample.id)
        return self._predictor.predict(sample, **options)


@contextmanager
def open_place(
    folder: Path,
    text: str = "",
    *,
    files: str = "white = 4095\npixel_size = 0.32",
    channels: str = CHANNELS,
    reference: Reference | None = None,
) -> Iterator[Workplace]:
    """Make a workplace in an empty folder."""
    make_model(folder / "small.onnx", reference=reference)
    (folder / "answers").mkdir()
    head = 'model = "small.onnx"\nwatch = "exports"\noutput = "answers"\ndevice = "cpu"\n'
    path = folder / "station.toml"
    path.write_text(f"{head}{text}\n[files]\n{files}\n{channels}", encoding="utf-8")
    station = read_station(path)
    with open_store(station) as store:
        yield Workplace(station, load_predictor(station), store)


def run_and_cancel(core: UniMMCore, events: Any, handler: FieldHandler, when: Callable[[], bool]) -> None:
    """Run an acquisition, cancel it when a condition is met, and wait until it ends."""
    acquisition = threading.Thread(target=lambda: core.mda.run(events, output=[handler]))
    acquisition.start()
    wait_until(when)
    core.mda.cancel()
    acquisition.join(60)
    assert not acquisition.is_alive()
