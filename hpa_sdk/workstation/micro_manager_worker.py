"""Predicts fields on one thread with a bounded queue, so that the acquisition need not wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.samples import Sample
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.predictor import Predictor
from hpa_sdk.workstation.micro_manager_fields import AcquiredField


class FieldWorker:
    """Gives each field exactly one answer, in order, even if the predictor fails or hangs.

    Parameters
    ----------
    predictor : Predictor
        The predictor.
    on_answer : callable
        Called with each field and its answer, on the worker's thread; must not raise.
    waiting : int
        Fields that may wait.
    timeout : float
        Seconds without an answer after which the worker stops waiting.
    """

    def __init__(
        self,
        predictor: Predictor,
        on_answer: Callable[[AcquiredField, Prediction | Failure], None],
        *,
        waiting: int,
        timeout: float,
    ) -> None:
        self._predictor = predictor
        self._on_answer = on_answer
        self._timeout = timeout
        self._slots = threading.BoundedSemaphore(waiting)
        self._lock = threading.Lock()
        # At most one field per slot, and fields without planes that wait to be reported as failed, with the reason.
        self._due: dict[AcquiredField, HpaError | None] = {}
        self._queue: SimpleQueue[AcquiredField | None] = SimpleQueue()
        self._moved = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="hpa-micro-manager", daemon=True)
        self._thread.start()

    def predict(self, field: AcquiredField, *, wait: bool) -> bool:
        """Accept a field, or return False if the queue is full.

        Parameters
        ----------
        field : AcquiredField
            A complete one.
        wait : bool
            Wait for a free slot, as long as the predictor makes progress.
        """
        if not self._slots.acquire(timeout=self._time_left() if wait else 0.0):
            return False
        self._put(field, None)
        return True

    def no_answer(self, field: AcquiredField) -> HpaError:
        """Create the error of a field for which the wait for the predictor timed out."""
        return HpaError(
            f"the predictor gave no answer for {self._timeout:g} s",
            where=field.id,
            remedy="Try device='cpu', or give a longer timeout.",
        )

    def fail(self, field: AcquiredField, error: HpaError) -> None:
        """Accept a field that has an error instead of an answer; there is always space for it."""
        field.release()
        self._put(field, error)

    def close(self) -> None:
        """Wait for the pending answers; the fields that the predictor leaves without one fail."""
        self._queue.put(None)
        while self._thread.is_alive() and (left := self._time_left()) > 0:
            self._thread.join(left)
        for field, error in list(self._due.items()):
            self._answer(field, Failure(field.id, error or self.no_answer(field)))

    def _put(self, field: AcquiredField, error: HpaError | None) -> None:
        if not self._due:
            self._moved = time.monotonic()
        self._due[field] = error
        self._queue.put(field)

    def _time_left(self) -> float:
        return max(0.0, self._moved + self._timeout - time.monotonic())

    def _work(self) -> None:
        while (field := self._queue.get()) is not None:
            if field not in self._due:  # it was given up
                continue
            if (error := self._due.get(field)) is not None:
                self._answer(field, Failure(field.id, error))
            else:
                self._answer(field, self._ask(field))
                self._slots.release()

    def _ask(self, field: AcquiredField) -> Prediction | Failure:
        try:
            (answer,) = self._predictor.predict(Sample(field.id, (Path(field.id),), field), on_error="yield")
        except Exception as error:  # noqa: BLE001 - recorded, and the next field is processed
            return Failure(field.id, error if isinstance(error, HpaError) else _unexpected(field, error))
        return answer

    def _answer(self, field: AcquiredField, answer: Prediction | Failure) -> None:
        with self._lock:
            if field not in self._due:
                return
            del self._due[field]
        self._moved = time.monotonic()
        field.release()
        self._on_answer(field, answer)


def _unexpected(field: AcquiredField, error: Exception) -> HpaError:
    return HpaError(
        f"the prediction failed ({error!r})",
        where=field.id,
        remedy="Predict a stored field with 'hpa predict' to see whether the model or the acquisition is at fault.",
    )
