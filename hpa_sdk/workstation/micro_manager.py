"""Predicts the fields of a Micro-Manager acquisition while it runs, without delaying it."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self

import numpy.typing as npt
from psygnal import Signal
from useq import MDAEvent, MDASequence

from hpa_sdk.errors import HpaError, SettingError
from hpa_sdk.fields.trained_scale import for_model
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.micro_manager_fields import (
    AcquiredField,
    FieldKey,
    field_key,
    plan_fields,
    position_key,
)
from hpa_sdk.workstation.micro_manager_report import Report
from hpa_sdk.workstation.micro_manager_worker import FieldWorker
from hpa_sdk.workstation.station import Station

_log = logging.getLogger("hpa_sdk")


class FieldHandler:
    """Collects the frames of each field and predicts the field on a separate thread.

    For ``core.mda.run(..., output=[handler])``. Frames with the same position, and the same indices except channel and
    z, are one field. Each field with at least one frame gets one result, with labels or an error, which goes to the
    store and to the listeners of `answered`. For one acquisition or several, one after the other; closed as a context.

    Parameters
    ----------
    station : Station
        Names of the channels, rule for z, pixel size where it overrides the core's, and scale of training.
    predictor : Predictor
        Loaded by `hpa_sdk.workstation.station_setup.load_predictor`.
    store : ResultStore
        Where results go.
    when_full : str
        What to do with a field when the queue is full: ``"drop"`` it, which is counted and reported, or ``"wait"`` as
        long as the predictor makes progress, while all following frames wait in the memory of pymmcore-plus.
    waiting : int
        Fields that may wait for the predictor.
    incomplete : int
        Fields that may wait for frames; if there are more, the oldest is given up.
    timeout : float
        Seconds without an answer after which the predictor counts as stuck. Nothing waits for it then, neither for
        space in the queue nor for the last answers, and the fields fail with that reason. Must be longer than a field
        takes.
    run : str, optional
        Prefix of the ids. Default: the time, so that no acquisition replaces another in the store.

    Attributes
    ----------
    answered : psygnal.SignalInstance
        Emitted with each `Result`, in the thread that predicts.
    warned : psygnal.SignalInstance
        Emitted after it with each `Result` that has warnings, which are also logged.
    closed : bool
        Whether `close` was called.

    Raises
    ------
    SettingError
        A number is out of its range, or `when_full` is neither of the two.
    """

    answered = Signal(Result)
    warned = Signal(Result)

    def __init__(
        self,
        station: Station,
        predictor: Predictor,
        store: ResultStore,
        *,
        when_full: Literal["drop", "wait"] = "drop",
        waiting: int = 8,
        incomplete: int = 64,
        timeout: float = 60.0,
        run: str | None = None,
    ) -> None:
        if when_full not in {"drop", "wait"} or min(waiting, incomplete) < 1 or timeout <= 0:
            raise SettingError(
                f"when_full={when_full!r}, waiting={waiting}, incomplete={incomplete}, timeout={timeout} are invalid",
                remedy="Give when_full='drop' or 'wait', counts of 1 or more, and a timeout above 0 seconds.",
            )
        if station.cells is not None:
            raise SettingError(
                "fields of a running acquisition are answered as a whole, and the station file asks for cells",
                remedy="Leave the table [cells] out, or let hpa watch answer the files that the acquisition writes.",
            )
        self.closed = False
        self._station = for_model(predictor.card, station)
        self._predictor = predictor
        self._store = store
        store.set_scheme(predictor.card.label_scheme)
        self._wait = when_full == "wait"
        self._most_incomplete = incomplete
        self._run = run or datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        self._fields: dict[FieldKey, AcquiredField] = {}
        self._of_positions: set[FieldKey] = set()
        self._plans: Counter[str] = Counter()
        self._begun: dict[str, AcquiredField] = {}
        self._counts: Counter[str] = Counter()
        self._incomplete: dict[str, tuple[str, ...]] = {}
        self._troubles: dict[str, None] = {}
        self._unsaved: list[Result] = []
        self._lock = threading.Lock()
        self._worker = FieldWorker(predictor, self._report, waiting=waiting, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def check(self, events: Iterable[MDAEvent]) -> None:
        """Check, before the cells are exposed to light, that every field of an acquisition will have its channels.

        Raises
        ------
        PlaneError
            A channel is missing or ambiguous, with the names that there are, or the z planes are too few.
        """
        for field in self._plan(events).values():
            field.check()

    def plan(self, events: Iterable[MDAEvent]) -> dict[FieldKey, str]:
        """Announce the frames of an acquisition; an `MDASequence` that is run does so by itself.

        Parameters
        ----------
        events : iterable of useq.MDAEvent
            All events of the fields that they belong to.

        Returns
        -------
        dict of FieldKey to str
            The ids of the fields. A field that was planned before and has no frame yet is the same one.
        """
        fields = self._plan(events)
        for key, field in fields.items():
            self._plans[field.stem] = self._times_taken(key, field.stem) + 1
            if key[-1:] and key[-1][0] == "position":
                self._of_positions.add(key[:-1])
            else:
                self._of_positions.discard(key)
        self._fields.update(fields)
        return {key: field.id for key, field in fields.items()}

    @property
    def report(self) -> Report:
        """The state of the fields so far."""
        return Report(
            planned=self._plans.total(),
            answered=self._counts["answered"],
            failed=self._counts["failed"],
            warned=self._counts["warned"],
            dropped=self._counts["dropped"],
            incomplete=dict(self._incomplete),
            unplanned_frames=self._counts["unplanned"],
            late_frames=self._counts["late"],
            unsaved=len(self._unsaved),
            troubles=tuple(self._troubles),
        )

    def close(self) -> None:
        """Give up fields that lack frames, wait for the pending answers, save them, and log the problems."""
        if self.closed:
            return
        self.closed = True
        self._give_up_begun()
        self._worker.close()
        self._attempt("results can't be saved", self._save)
        if not (report := self.report).is_clean:
            _log.warning("%s", report)

    # Called by pymmcore-plus. An exception here would end its relay thread, and with it the frames of other handlers.

    def sequenceStarted(self, sequence: MDASequence, _: object) -> None:  # noqa: N802
        """Plan the frames of a sequence."""
        try:
            if sequence.axis_order:  # the stand-in for events from a generator has none, and warns when iterated
                self.plan(sequence)
        except Exception as error:  # noqa: BLE001 - see above
            self._record_trouble(f"the sequence can't be planned: {error!r}")

    def frameReady(self, frame: npt.NDArray[Any], event: MDAEvent, metadata: Mapping[str, Any]) -> None:  # noqa: N802
        """Take a frame."""
        try:
            self._take(frame, event, metadata.get("pixel_size_um"))
        except Exception as error:  # noqa: BLE001 - see above
            self._record_trouble(f"a frame was lost: {error!r}")

    def sequenceFinished(self, _: object) -> None:  # noqa: N802
        """Give up the fields that lack frames, also if the acquisition was cancelled."""
        self._give_up_begun()

    def _plan(self, events: Iterable[MDAEvent]) -> dict[FieldKey, AcquiredField]:
        return plan_fields(events, self._station, run=self._run, times_taken=self._times_taken)

    def _times_taken(self, key: FieldKey, stem: str) -> int:
        # Planned by hand, and again by the run itself: until a frame arrives, it is one and the same.
        field = self._fields.get(key)
        same = field is not None and field.stem == stem
        untouched = same and field is not None and not field.settled and field.id not in self._begun
        return self._plans[stem] - untouched

    def _take(self, frame: npt.NDArray[Any], event: MDAEvent, pixel_size: float | None) -> None:
        indices = field_key(event)
        field = self._fields.get(position_key(event) if indices in self._of_positions else indices)
        if field is None:
            self._counts["unplanned"] += 1
            return
        if field.settled or self.closed:
            self._counts["late"] += field.uses(event)
            return
        if not (pixel_size or self._station.files.pixel_size):
            self._record_trouble(_NO_PIXEL_SIZE)
        self._begun[field.id] = field
        try:
            field.add(frame, event, pixel_size)
        except HpaError as error:
            self._fail(field, error)
            return
        if field.complete:
            self._predict(field)
        elif len(self._begun) > self._most_incomplete:
            self._give_up(next(iter(self._begun.values())))

    def _predict(self, field: AcquiredField) -> None:
        self._settle(field)
        if not self._worker.predict(field, wait=self._wait):
            self._counts["dropped"] += 1
            self._fail(field, self._worker.no_answer(field) if self._wait else _dropped(field))

    def _fail(self, field: AcquiredField, error: HpaError) -> None:
        self._settle(field)
        self._worker.fail(field, error)

    def _settle(self, field: AcquiredField) -> None:
        field.settled = True
        self._begun.pop(field.id, None)

    def _give_up(self, field: AcquiredField) -> None:
        self._incomplete[field.id] = field.missing
        self._fail(field, field.incomplete_error())

    def _give_up_begun(self) -> None:
        for field in list(self._begun.values()):
            self._give_up(field)

    def _report(self, _: AcquiredField, answer: Prediction | Failure) -> None:
        self._counts["failed" if isinstance(answer, Failure) else "answered"] += 1
        result = Result.by(self._predictor, answer)
        self._attempt("results can't be saved", lambda: self._save(result))
        self._attempt("a listener of a result failed", lambda: self.answered.emit(result))
        if result.warnings:
            self._counts["warned"] += 1
            _log.warning("%s: %s", result.id, " ".join(result.warnings))
            self._attempt("a listener of a warning failed", lambda: self.warned.emit(result))

    def _save(self, *results: Result) -> None:
        with self._lock:
            self._unsaved += results
            self._store.add(*self._unsaved)
            self._unsaved.clear()
        self._store.publish()

    def _attempt(self, what: str, attempt: Callable[[], None]) -> None:
        try:
            attempt()
        except Exception as error:  # noqa: BLE001 - recorded; a problem with one result must not affect another
            self._record_trouble(f"{what}: {error if isinstance(error, HpaError) else repr(error.__cause__ or error)}")

    def _record_trouble(self, trouble: str) -> None:
        if trouble not in self._troubles:
            self._troubles[trouble] = None
            _log.warning("%s", trouble)


_NO_PIXEL_SIZE = (
    "the core does not know the size of a pixel (0.0), so nothing is rescaled to the model's training: make a pixel"
    " size configuration in Micro-Manager, or give files.pixel_size in the station file"
)


def _dropped(field: AcquiredField) -> HpaError:
    return HpaError(
        "the field was dropped: the predictor is behind and its queue full",
        where=field.id,
        remedy="Use a faster device, take fields more slowly, or give a larger 'waiting' or when_full='wait'.",
    )
