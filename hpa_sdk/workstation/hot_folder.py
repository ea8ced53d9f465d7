"""Answers every field that arrives in a folder, once, whatever is stopped, killed or taken away meanwhile."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from hpa_sdk.errors import HpaError, OutputError, SampleError, SettingError
from hpa_sdk.fields.file_group import UNSAFE
from hpa_sdk.fields.samples import Sample
from hpa_sdk.fields.stack_samples import samples_of
from hpa_sdk.fields.tiff_place import PartError
from hpa_sdk.fields.trained_scale import at_scale_of
from hpa_sdk.files.file_state import FileStamp, FileState
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.arrivals import Arrivals, Arrived
from hpa_sdk.workstation.station import Station
from hpa_sdk.workstation.watch_lock import lock_ledger

SECONDS_A_LOOK = 0.25
"""From one look at the folder to the next, at most; a look that costs much is followed by a longer pause."""

_REST = 5  # times as long as the processor was busy with the look
_AHEAD = 1000  # fields that wait for the predictor; more wait in the folder
_log = logging.getLogger("hpa_sdk")


@dataclass(slots=True)
class _Asked:
    """A field on its way through the predictor."""

    arrived: Arrived
    samples: list[Sample]
    holder: Path | None = None
    results: list[Result] = field(default_factory=list)
    read: list[FileState] = field(default_factory=list)


class HotFolder:
    """Watches a folder: what arrives is predicted, and goes to a result store.

    Parameters
    ----------
    station : Station
        The folder, and the rules of its files.
    predictor : Predictor
        Loaded by `hpa_sdk.workstation.station_setup.load_predictor`.
    store : ResultStore
        Where results go; its ledger tells what is done.
    existing : str
        ``"do"`` or ``"skip"``: what to do with the files that lie there when the ledger is new.
    on_result : callable, optional
        Called with each result, after it is safe.

    Raises
    ------
    OutputError
        Another process watches with this ledger, or the ledger is that of another folder.
    """

    def __init__(
        self,
        station: Station,
        predictor: Predictor,
        store: ResultStore,
        *,
        existing: Literal["do", "skip"] = "do",
        on_result: Callable[[Result], None] = lambda _: None,
    ) -> None:
        self._station = at_scale_of(predictor.card, station)
        self._predictor = predictor
        self._store = store
        self._existing = existing
        self._on_result = on_result
        self._arrivals = Arrivals(self._station, store.ledger)
        self._ready: deque[Arrived] = deque()
        self._troubles: dict[str, str] = {}
        self._joined: dict[str, FileStamp] = {}

    def run(self, stop: threading.Event) -> None:
        """Watch until the event is set; fields that are being predicted then are finished first.

        Trouble that may pass, such as a share that is away or a full disk, is logged once and waited for.

        Raises
        ------
        OutputError
            As for the class.
        DeviceError
            The device failed. What was not answered is, when the watch starts again.
        """
        with lock_ledger(self._store.ledger, self._station.watch):
            self._try("results", self._store.remove_partials)
            while not stop.is_set():
                until = time.monotonic() + self._look()
                try:
                    self._answer(stop, until)
                finally:
                    self._try("results", self._store.publish)
                stop.wait(max(0.0, until - time.monotonic()))

    def _look(self) -> float:
        """Look, and say how many seconds to rest from it: a look should cost neither this computer nor a share much."""
        began, busy = time.monotonic(), time.thread_time()
        self._try("folder", self._look_at_folder)
        self._try("model", self._look_at_model)
        arrival = self._station.arrival
        return max(
            min(SECONDS_A_LOOK, arrival.settle_seconds / arrival.looks),
            _REST * (time.thread_time() - busy),
            time.monotonic() - began,
        )

    def _look_at_folder(self) -> None:
        try:
            self._arrivals.begin(skip=self._existing == "skip")
            self._ready.extend(self._arrivals.look(_AHEAD - len(self._ready)))
        except OSError as error:
            raise SampleError(
                f"the folder can't be listed ({error.strerror})",
                where=self._station.watch,
                remedy="The watch goes on as soon as it can be.",
            ) from error

    def _look_at_model(self) -> None:
        if not self._predictor.model.is_on_disk():
            raise SettingError(
                "the model file was replaced or removed; the model that was loaded from it goes on answering",
                where=self._predictor.model.where,
                remedy="Start the watch again to use the file that is there now.",
            )

    def _answer(self, stop: threading.Event, until: float) -> None:
        asked: deque[_Asked] = deque()

        def samples() -> Iterator[Sample]:
            while self._ready and not stop.is_set() and time.monotonic() < until:
                arrived = self._ready.popleft()
                try:
                    found = samples_of(self._station, arrived.group)
                except PartError as error:
                    asked.append(_Asked(arrived, [], error.holder))
                    continue
                asked.append(_Asked(arrived, [_with_id_of_its_own(sample, arrived) for sample in found]))
                yield from asked[-1].samples

        try:
            for answer in self._predictor.stream(samples()):
                self._finish_answered(asked)
                asked[0].results.append(self._result(answer, asked[0]))
                self._finish_answered(asked)
            self._finish_answered(asked)
        finally:
            for unanswered in asked:
                self._arrivals.requeue(unanswered.arrived)

    def _finish_answered(self, asked: deque[_Asked]) -> None:
        """Finish the fields at the front that have all their answers: a part of another file's field has none."""
        while asked and len(asked[0].results) == len(asked[0].samples):
            self._finish(asked.popleft())

    def _result(self, answer: Prediction | Failure, asked: _Asked) -> Result:
        waited = f"waited {self._station.arrival.plane_timeout_seconds:g} s for what is missing"
        if isinstance(answer, Prediction):
            asked.read += answer.files
        return Result.of(
            answer,
            files=asked.samples[len(asked.results)].files,
            model_sha256=self._predictor.model.sha256,
            device=self._predictor.device,
            notes=(*asked.arrived.notes, *(() if asked.arrived.complete else (waited,))),
        )

    def _finish(self, asked: _Asked) -> None:
        arrived = asked.arrived
        # Good files fail too, while a share is away or a program pauses in its writing. So only the second time counts,
        # and what was still incomplete after its wait, and neither where the files are not there as they were.
        counts = (arrived.again or not arrived.complete) and self._arrivals.unchanged(arrived)
        failed = any(result.error for result in asked.results)
        # What was read must be what had settled: files that were replaced meanwhile may be of two acquisitions, and the
        # scenes of one file of two moments.
        # A part is read by the field of another file, so here it is not known as it was.
        written = asked.holder is not None and not self._arrivals.unchanged(arrived)
        if (failed and not counts) or written or not self._arrivals.is_of(asked.read, arrived):
            self._arrivals.requeue(arrived)
        else:
            self._try("ledger", lambda: self._keep(asked))

    def _keep(self, asked: _Asked) -> None:
        try:
            self._store.add(*asked.results, field=asked.arrived.group.id, files=asked.arrived.stamps)
        except OutputError:
            self._arrivals.requeue(asked.arrived)
            raise
        self._arrivals.finish(asked.arrived)
        for result in asked.results:
            self._on_result(result)
        self._join(asked)

    def _join(self, asked: _Asked) -> None:
        """Keep the fields of files that are read together in step."""
        own = {str(Path(file).absolute()): file for file in asked.arrived.group.files}
        if asked.holder is not None:
            (part,) = own
            stamp, *_ = asked.arrived.stamps.values()
            if self._joined.get(part) != stamp:
                self._arrivals.renew(asked.holder)
        for file in asked.read:
            field = None if file.path in own else self._arrivals.group_of(Path(file.path))
            if field is not None:
                self._joined[file.path] = file.stamp
                self._store.add(field=field)  # it may have failed by itself, before the others were there

    def _try(self, what: str, attempt: Callable[[], None]) -> None:
        """Do something that may fail for a while; log each trouble once, and its end."""
        try:
            attempt()
        except HpaError as error:
            if self._troubles.get(what) != str(error):
                _log.warning("%s", error)
            self._troubles[what] = str(error)
        else:
            if self._troubles.pop(what, None):
                _log.warning("The trouble is over (%s).", what)


def _with_id_of_its_own(sample: Sample, arrived: Arrived) -> Sample:
    # Several names that can't be used come down to one id; they must not take each other's place.
    unsafe = UNSAFE.search(arrived.group.id)
    suffix = f"-{hashlib.sha256(os.fsencode(arrived.group.id)).hexdigest()[:12]}" if unsafe else ""
    return replace(sample, id=sample.id + suffix)
