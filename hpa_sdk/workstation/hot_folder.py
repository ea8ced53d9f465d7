"""Answers every field that arrives in a folder exactly once, even after stops, kills and lost shares."""

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

from hpa_sdk.cells.field_files import FieldFiles
from hpa_sdk.errors import HpaError, SampleError, SettingError
from hpa_sdk.fields.file_group import UNSAFE
from hpa_sdk.fields.samples import Sample
from hpa_sdk.fields.stack_samples import samples_of
from hpa_sdk.fields.tiff_place import PartError
from hpa_sdk.fields.trained_scale import for_model
from hpa_sdk.files.file_state import FileStamp, FileState
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.cell_counts import CellCounts
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.arrivals import Arrivals, Arrived
from hpa_sdk.workstation.field_cells import CELLS_FOLDER, FieldCells
from hpa_sdk.workstation.station import Station
from hpa_sdk.workstation.watch_lock import lock_ledger

SECONDS_A_LOOK = 0.25
"""Seconds between two looks at the folder, at most; an expensive look is followed by a longer pause."""

_REST = 5  # pause after a look, in multiples of its processor time
_AHEAD = 1000  # fields that wait for the predictor; more wait in the folder
_log = logging.getLogger("hpa_sdk")


@dataclass(slots=True)
class _Request:
    """A field on its way through the predictor."""

    arrived: Arrived
    samples: list[Sample]
    holder: Path | None = None
    results: list[Result] = field(default_factory=list)
    read: list[FileState] = field(default_factory=list)


class HotFolder:
    """Watches a folder: fields that arrive are predicted, and their results go to a result store.

    Parameters
    ----------
    station : Station
        The folder, and the rules of its files.
    predictor : Predictor
        Loaded by `hpa_sdk.workstation.station_setup.load_predictor`.
    store : ResultStore
        Where results go; its ledger records what is done.
    existing : str
        ``"do"`` or ``"skip"``: what to do with existing files when the ledger is new.
    on_result : callable, optional
        Called with each result after it is stored.
    on_warning : callable, optional
        Called after it with each result that has warnings.

    Raises
    ------
    OutputError
        Another process watches with this ledger, or the ledger belongs to another folder.
    """

    def __init__(
        self,
        station: Station,
        predictor: Predictor,
        store: ResultStore,
        *,
        existing: Literal["do", "skip"] = "do",
        on_result: Callable[[Result], None] = lambda _: None,
        on_warning: Callable[[Result], None] = lambda _: None,
    ) -> None:
        self._station = for_model(predictor.card, station)
        self._predictor = predictor
        self._store = store
        store.set_scheme(predictor.card.label_scheme)
        self._existing = existing
        self._on_result = on_result
        self._on_warning = on_warning
        self._cells = None if station.cells is None else FieldCells(station, predictor)
        self._tables = FieldFiles(station.output / CELLS_FOLDER)
        # A field also waits for a plane in which only its cells are found.
        awaited = self._station if self._cells is None else self._station.reading(self._cells.channels)
        self._arrivals = Arrivals(awaited, store.ledger)
        self._ready: deque[Arrived] = deque()
        self._troubles: dict[str, str] = {}
        self._joined: dict[str, FileStamp] = {}

    def run(self, stop: threading.Event) -> None:
        """Watch until the event is set; fields that are being predicted then are finished first.

        A temporary problem, such as a lost share or a full disk, is logged once, and the watch waits until it is over.

        Raises
        ------
        OutputError
            As for the class.
        DeviceError
            The device failed. Unanswered fields are answered when the watch starts again.
        """
        with lock_ledger(self._store.ledger, self._station.watch):
            self._try("results", self._store.remove_partials)
            if self._cells is not None:
                self._try("cells", self._cells.remove_partials)
            while not stop.is_set():
                until = time.monotonic() + self._look()
                try:
                    self._answer(stop, until)
                finally:
                    self._try("results", self._store.publish)
                stop.wait(max(0.0, until - time.monotonic()))

    def _look(self) -> float:
        """Look, and return the seconds to pause after it: looks should cost this computer and a share little."""
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
                remedy="The watch resumes as soon as it can be.",
            ) from error

    def _look_at_model(self) -> None:
        for model in (self._predictor.model, *(other for other, _ in self._predictor.others)):
            if not model.is_on_disk():
                raise SettingError(
                    "the model file was replaced or removed; the model that was loaded from it stays in use",
                    where=model.where,
                    remedy="Start the watch again to use the file that is there now.",
                )

    def _answer(self, stop: threading.Event, until: float) -> None:
        asked: deque[_Request] = deque()

        def samples() -> Iterator[Sample]:
            while self._ready and not stop.is_set() and time.monotonic() < until:
                arrived = self._ready.popleft()
                try:
                    found = samples_of(self._station, arrived.group)
                except PartError as error:
                    asked.append(_Request(arrived, [], error.holder))
                    continue
                asked.append(_Request(arrived, [_with_unique_id(sample, arrived) for sample in found]))
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

    def _finish_answered(self, asked: deque[_Request]) -> None:
        """Finish the fields at the front that have all their answers: a part of another file's field needs none."""
        while asked and len(asked[0].results) == len(asked[0].samples):
            self._finish(asked.popleft())

    def _result(self, answer: Prediction | Failure, asked: _Request) -> Result:
        waited = f"waited {self._station.arrival.plane_timeout_seconds:g} s for what is missing"
        if isinstance(answer, Prediction):
            asked.read += answer.files
        return Result.by(
            self._predictor,
            answer,
            files=asked.samples[len(asked.results)].files,
            notes=(*asked.arrived.notes, *(() if asked.arrived.complete else (waited,))),
        )

    def _finish(self, asked: _Request) -> None:
        arrived = asked.arrived
        # Good files can fail too, while a share is lost or a program pauses in its writing. So a failure counts only
        # the second time, or if the field was still incomplete after its wait; and only if the files are unchanged.
        counts = (arrived.again or not arrived.complete) and self._arrivals.unchanged(arrived)
        failed = any(result.error for result in asked.results)
        # The files that were read must be those that had settled: replaced files may belong to two acquisitions, and
        # the scenes of one file to two moments.
        # A part is read by the field of another file, so its state at that time is not known here.
        written = asked.holder is not None and not self._arrivals.unchanged(arrived)
        if (failed and not counts) or written or not self._arrivals.is_of(asked.read, arrived):
            self._arrivals.requeue(arrived)
        else:
            self._try("ledger", lambda: self._store_results(asked))

    def _store_results(self, asked: _Request) -> None:
        try:
            # Before the ledger says that the field is done: a watch that is killed meanwhile answers it again.
            if self._cells is not None and asked.samples:
                names = [sample.id for sample in asked.samples]
                found = zip(self._cells.samples(asked.arrived.group, self._station), names, strict=False)
                named = [replace(sample, id=name) for sample, name in found]
                read, counts = self._cells.write(named, names, self._tables)
                # As for fields: what can't be read may be a lost share, so it counts only the second time.
                lost = any(
                    result.error is None and not counts.get(result.id, CellCounts()).height for result in asked.results
                )
                counted = asked.arrived.again and self._arrivals.unchanged(asked.arrived)
                if (lost and not counted) or not self._arrivals.is_of(read, asked.arrived):
                    self._arrivals.requeue(asked.arrived)
                    return
                asked.results = [replace(result, cells=counts.get(result.id)) for result in asked.results]
            self._store.add(*asked.results, field=asked.arrived.group.id, files=asked.arrived.stamps)
        except HpaError:
            self._arrivals.requeue(asked.arrived)
            raise
        self._arrivals.finish(asked.arrived)
        for result in asked.results:
            self._on_result(result)
            if result.warnings:
                self._on_warning(result)
        self._join(asked)

    def _join(self, asked: _Request) -> None:
        """Keep the fields consistent whose files are read together."""
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
                self._store.add(field=field)  # alone, it may have failed before the others arrived

    def _try(self, what: str, attempt: Callable[[], None]) -> None:
        """Run something that may fail temporarily; log each problem once, and its end."""
        try:
            attempt()
        except HpaError as error:
            if self._troubles.get(what) != str(error):
                _log.warning("%s", error)
            self._troubles[what] = str(error)
        else:
            if self._troubles.pop(what, None):
                _log.warning("The trouble is over (%s).", what)


def _with_unique_id(sample: Sample, arrived: Arrived) -> Sample:
    # Several names that can't be used are reduced to one id; their results must not replace each other.
    unsafe = UNSAFE.search(arrived.group.id)
    suffix = f"-{hashlib.sha256(os.fsencode(arrived.group.id)).hexdigest()[:12]}" if unsafe else ""
    return replace(sample, id=sample.id + suffix)
