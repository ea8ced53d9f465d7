"""Measures each stage of an answer alone: the rate that the machine would reach with only this stage."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hpa_sdk.bench.rates import latencies, rate
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Sample
from hpa_sdk.inference.session import Session
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import Planes, White
from hpa_sdk.results.writers import WRITERS

Item = TypeVar("Item")

_READY_FIELDS = 8
_LEAST_RUNS = 10


@dataclass(frozen=True, slots=True)
class Stages:
    """A predictor and the fields to measure it on.

    Attributes
    ----------
    predictor : Predictor
        What is measured.
    samples : sequence of Sample
        Fields that it can read, at least one; they are read repeatedly.
    white : White or None
        As for `Predictor.load`.
    seconds : float
        How long each figure is measured.
    """

    predictor: Predictor
    samples: Sequence[Sample]
    white: White | None
    seconds: float

    def one_after_the_other(self) -> dict[str, float]:
        """Return the median milliseconds per field of each stage, one at a time, with the model on all cores."""
        samples = itertools.cycle(self.samples)
        planes = itertools.cycle([read_planes(sample) for sample in self.samples[:_READY_FIELDS]])
        fields = itertools.cycle(self._ready_fields())
        (prediction,) = self.predictor.predict(self.samples[0])
        writer = WRITERS["csv"](io.StringIO(), self.predictor.card.label_scheme)
        parts: dict[str, Callable[[], object]] = {
            "decode": lambda: read_planes(next(samples)),
            "preprocess": lambda: self._model_input(next(planes)),
            "run": lambda: self.predictor.session.run([next(fields)]),
            "write": lambda: writer.write(prediction),
        }
        return {name: self._milliseconds(part) for name, part in parts.items()}

    def decoder(self) -> float:
        """Return the fields per second of decoding alone, on all threads."""
        return self._on_all_threads(read_planes)

    def reading(self) -> float:
        """Return the fields per second of decoding and preprocessing on all threads, without a model."""
        return self._on_all_threads(lambda sample: self._model_input(read_planes(sample)))

    def raw_session(self) -> float:
        """Return the fields per second of the session alone, on prepared tensors with all parallel runs."""
        session: Session = self.predictor.session.for_many()
        fields = self._ready_fields()
        batch = [field for field, _ in zip(itertools.cycle(fields), range(session.batch_size), strict=False)]
        answers = _on_threads(session.run, itertools.repeat(batch), session.plan.parallel_runs)
        return session.batch_size * rate(answers, seconds=self.seconds, unmeasured=session.plan.parallel_runs)

    def _on_all_threads(self, work: Callable[[Sample], object]) -> float:
        workers = self.predictor.threads.workers
        answers = _on_threads(work, itertools.cycle(self.samples), workers)
        return rate(answers, seconds=self.seconds, unmeasured=2 * workers)

    def _milliseconds(self, part: Callable[[], object]) -> float:
        return float(np.median(latencies(part, seconds=self.seconds / 4, least=_LEAST_RUNS))) * 1e3

    def _model_input(self, planes: Planes) -> npt.NDArray[np.float32 | np.uint8]:
        return self.predictor.card.preprocessing.model_input(planes, white=self.white)[0]

    def _ready_fields(self) -> list[npt.NDArray[np.float32 | np.uint8]]:
        fields = [self._model_input(read_planes(sample)) for sample in self.samples[:_READY_FIELDS]]
        return [field for field in fields if field.shape == fields[0].shape]


def _on_threads(work: Callable[[Item], object], items: Iterator[Item], workers: int) -> Generator[object]:
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(partial(work, item)) for item, _ in zip(items, range(2 * workers), strict=False)]
        for item in items:
            yield waiting.pop(0).result()
            waiting.append(pool.submit(partial(work, item)))
