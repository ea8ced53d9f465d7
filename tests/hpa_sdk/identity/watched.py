"""Watches and shows the fields of a `World` while anything is done to them, and checks results and pictures."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from hpa_sdk import Prediction, Predictor
from hpa_sdk.errors import HpaError
from hpa_sdk.fields.rules import Files
from hpa_sdk.files.file_state import FileState, stamp_of
from hpa_sdk.live.pictures import View, draw
from hpa_sdk.live.result_view import ResultView
from hpa_sdk.live.review_service import ReviewService
from hpa_sdk.live.service import Service
from hpa_sdk.live.shared_stream import SharedStream
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.hot_folder import HotFolder
from hpa_sdk.workstation.station import Arrival, Station
from tests.hpa_sdk.identity.world import World

_SIDE = 64
_ARRIVAL = Arrival(settle_seconds=0.02, looks=2, plane_timeout_seconds=0.2)
_VIEWS: tuple[View, ...] = ("composite", "red", "green", "blue", "yellow")
_LONGEST = 60.0  # seconds until everything has to be answered as it is


class Watched:
    """A watch on a world's fields, and what a page shows of its results; `wrong` gets a line for each wrong one."""

    def __init__(self, world: World, output: Path) -> None:
        output.mkdir()
        self.wrong: list[str] = []
        self.results = 0
        self.pictures = 0
        self.refused = 0
        self._world = world
        self._station = Station(
            model=world.model, watch=world.fields, output=output, files=Files(pattern="hpa"), arrival=_ARRIVAL
        )
        self._opened = ExitStack()
        self._number = 0
        self._shown: list[tuple[int, Result]] = []

    def start(self) -> None:
        """Start, or start again with the model that lies there by now."""
        self.stop()
        predictor = self._load()
        store = self._opened.enter_context(ResultStore(self._station.output))
        view = self._opened.enter_context(closing(ResultView(store.ledger.path)))
        reviews = self._opened.enter_context(closing(ReviewService(store, view)))
        self._store = store
        self._service = Service(
            *(self._station, predictor, store),
            view=view,
            reviews=reviews,
            stream=SharedStream(predictor),
            watches=True,
            notices=(),
        )
        stop = threading.Event()
        watch = HotFolder(self._station, predictor, store)
        thread = threading.Thread(target=self._run, args=(watch, stop))
        thread.start()
        self._opened.callback(thread.join)
        self._opened.callback(stop.set)

    def stop(self) -> None:
        """Stop the watch."""
        self._opened.close()

    def look(self) -> None:
        """Check the results that came, and the picture of any of them."""
        for number, result in self._store.after(self._number):
            self._number = number
            self.results += 1
            self._shown.append((number, result))
            self._check(result)
        if self._shown:
            self._look_at(*self._world.random.choice(self._shown[-20:]))

    def settle(self) -> None:
        """Wait until every field is answered as it lies there."""
        self._world.do("restore_planes")
        deadline = time.monotonic() + _LONGEST
        while old := [name for name in self._world.names if not self._is_of_now(name)]:
            if time.monotonic() > deadline:
                self.wrong.append(f"never answered as they are: {[(name, self._store.get(name)) for name in old]}")
                break
            time.sleep(0.02)
        self.look()
        for number, result in self._store.after(0):
            self._check(result)
            self._look_at(number, result)

    def _run(self, watch: HotFolder, stop: threading.Event) -> None:
        try:
            watch.run(stop)
        except Exception as error:  # noqa: BLE001 - a line among the wrong ones
            self.wrong.append(f"the watch ended: {error!r}")

    def _load(self) -> Predictor:
        while True:
            try:
                return Predictor.load(self._world.model, device="cpu", threads=self._world.random.choice([1, 2]))
            except HpaError:
                self._world.bring_back_model()

    def _check(self, result: Result) -> None:
        if result.error is not None:
            return
        numbers = np.array(result.probabilities, np.float32)
        files = tuple(map(FileState, result.files, result.stamps))
        answer = Prediction.from_probabilities(
            numbers, id=result.id, thresholds=numbers, embedding=numbers, white=numbers, files=files
        )
        if (wrong := self._world.is_wrong(answer, model=result.model_sha256, since=0)) is not None:
            self.wrong.append(f"result: {wrong}")

    def _look_at(self, number: int, result: Result) -> None:
        if result.error is not None:
            return
        view = self._world.random.choice(_VIEWS)
        try:
            store = self._store.ledger.identity
            png = self._service.picture(result.id, view, _SIDE, store=store, number=number)
        except HpaError:
            self.refused += 1
            return
        self.pictures += 1
        planes = self._world.planes_of(tuple(map(FileState, result.files, result.stamps)))
        if png != draw(planes, view, side=_SIDE):
            self.wrong.append(f"the picture of {result.id} shows other planes than were answered")

    def _is_of_now(self, name: str) -> bool:
        result = self._store.get(name)
        if result is None or result.error is not None:
            return False
        return all(stamp.matches(stamp_of(path)) for path, stamp in zip(result.files, result.stamps, strict=True))
