"""Shares one predictor between many clients: their fields form one stream, and so common batches."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from hpa_sdk.fields.samples import Sample
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.predictor import Predictor

Answer = Prediction | Failure
"""What a predictor returns for one field."""


@dataclass(slots=True)
class _Request:
    sample: Sample
    answer: Future[Answer] = field(default_factory=Future)


class SharedStream:
    """Answers the fields of many clients on a separate thread, in the order in which they arrived.

    While fields are waiting, they form one stream of the predictor: files are read ahead, and new requests join the
    stream. The clients bound the number of waiting fields.

    Parameters
    ----------
    predictor : Predictor
        The predictor.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._waiting: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="hpa-shared-stream")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._thread.join()

    def submit(self, sample: Sample) -> Future[Answer]:
        """Submit a field; the future returns the answer, or raises what the predictor raised."""
        asked = _Request(sample)
        self._waiting.put(asked)
        return asked.answer

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            self._answer(first)

    def _answer(self, first: _Request) -> None:
        asked: deque[_Request] = deque()

        def samples() -> Iterator[Sample]:
            for one in self._from(first):
                if one.answer.set_running_or_notify_cancel():
                    asked.append(one)
                    yield one.sample

        try:
            for answer in self._predictor.stream(samples()):
                asked.popleft().answer.set_result(answer)
        except Exception as error:  # noqa: BLE001 - any error is raised again in the client
            for one in asked:
                one.answer.set_exception(error)

    def _from(self, first: _Request) -> Iterator[_Request]:
        following: _Request | None = first
        while following is not None:
            yield following
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                return
        self._waiting.put(None)  # the end marker, which `_work` has to see
