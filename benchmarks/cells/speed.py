"""Measures how fast cells are found and answered, and whether memory stays flat."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
import psutil
from tqdm import tqdm

from benchmarks.cells.segmentation import SIMULATED_PIXEL
from hpa_sdk import Failure, Predictor, Sample
from hpa_sdk.bench.rates import Spread, in_turn
from hpa_sdk.cells import CellAnswers, ClassicalSegmenter, Segmentation
from hpa_sdk.cells.cut_field import PreparedCell, cut, read_cells
from hpa_sdk.fields.sources import FoundField
from hpa_sdk.inference.threads import usable_cores
from hpa_sdk.preprocessing import Planes
from training.simulation.fields import simulate_field

RAW, MASKS, WHOLE = "raw sessions on ready images", "cells, masks ready", "cells, with segmentation"
_LARGE = 2048
_MIB = 2**20
_EVERY = 50
_SETTLED = 400
_ERRORS_ONLY = 3


def seconds_to_segment(*, rounds: int) -> Spread:
    """Measure the processor time of the segmentation of four simulated fields side by side, of 2048 pixels."""
    segmenter = ClassicalSegmenter()
    four = [simulate_field([0, 25], np.random.default_rng(seed)) for seed in range(4)]
    planes = np.concatenate([np.concatenate(four[:2], axis=2), np.concatenate(four[2:], axis=2)], axis=1)
    large = np.stack([cv2.resize(plane, (_LARGE, _LARGE), interpolation=cv2.INTER_LINEAR) for plane in planes])
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        times = [
            _seconds(lambda: segmenter.segment(large, id="", pixel_size=SIMULATED_PIXEL / 2)) for _ in range(rounds + 1)
        ]
    finally:
        cv2.setNumThreads(before)
    return Spread.of(times[1:])


def _seconds(call: Callable[[], object]) -> float:
    begun = time.process_time()  # of the processor: other programs use the machine too
    call()
    return time.process_time() - begun


@dataclass(frozen=True, slots=True)
class Known:
    """A segmenter that returns segmentations made before."""

    segmentations: dict[str, Segmentation] = field(default_factory=dict)
    channels: tuple[str, ...] = ()

    def segment(self, planes: Planes, *, id: str, pixel_size: float | None) -> Segmentation:  # noqa: A002, ARG002
        """Return the segmentation of a field."""
        return self.segmentations[id]

    def fingerprint(self, id: str) -> str:  # noqa: A002
        """Name it."""
        return id


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast cells are answered.

    Attributes
    ----------
    cells_a_second : dict of str to list of float
        For each turn.
    milliseconds : dict of str to list of float
        Processor time of one core for a cell, for each turn. Other programs change it less.
    """

    cells_a_second: dict[str, list[float]] = field(default_factory=dict)
    milliseconds: dict[str, list[float]] = field(default_factory=dict)


def rates(predictor: Predictor, samples: list[Sample], *, rounds: int) -> Rates:
    """Measure in turn: raw sessions on ready images, and the cells of the same fields from files."""
    segmenter = ClassicalSegmenter()
    images: list[npt.NDArray[np.float32]] = []
    known = Known()
    for sample in samples:
        found = read_cells(
            FoundField(sample.id, sample),
            card=predictor.card,
            segmenter=segmenter,
            white=None,
            trained=None,
            pixel_size=None,
            quality=False,
        )
        if isinstance(found, Failure):
            raise found.error
        known.segmentations[sample.id] = found.segmentation
        cells = (cut(found, at, predictor.card) for at in range(len(found.segmentation.cells)))
        images += [np.asarray(cell.prepared.inputs[0], np.float32) for cell in cells if isinstance(cell, PreparedCell)]
    size = predictor.session.batch_size
    batches = [np.stack(images[at : at + size]) for at in range(0, len(images), size)]
    raw = [_open(Path(str(predictor.model.path))) for _ in range(usable_cores())]
    runs: dict[str, Callable[[], int]] = {
        RAW: partial(_run_raw, raw, batches),
        MASKS: partial(_run, predictor, samples, known),
        WHOLE: partial(_run, predictor, samples, segmenter),
    }
    found_rates = Rates(milliseconds={name: [] for name in runs})
    measures: dict[str, Callable[[], float]] = {
        name: partial(_rate, run, found_rates.milliseconds[name]) for name, run in runs.items()
    }
    for _ in in_turn(measures, 1):  # warm-up: first runs allocate memory, and open the session for long streams
        pass
    for times in found_rates.milliseconds.values():
        times.clear()
    rows = list(tqdm(in_turn(measures, rounds), total=rounds, unit=" rounds", disable=None))
    found_rates.cells_a_second.update({name: [row[name] for row in rows] for name in measures})
    return found_rates


def _rate(run: Callable[[], int], milliseconds: list[float]) -> float:
    begun, used = time.perf_counter(), time.process_time()
    cells = run()
    milliseconds.append((time.process_time() - used) / cells * 1000)
    return cells / (time.perf_counter() - begun)


def _run(predictor: Predictor, samples: list[Sample], segmenter: Known | ClassicalSegmenter) -> int:
    answers = predictor.cells(samples, segmenter=segmenter)
    return sum(len(one.answers) for one in answers if isinstance(one, CellAnswers))


def _run_raw(sessions: list[onnxruntime.InferenceSession], batches: list[npt.NDArray[np.float32]]) -> int:
    def run(number: int) -> None:
        session = sessions[number]
        (taken,) = session.get_inputs()
        for batch in batches[number :: len(sessions)]:
            session.run(None, {taken.name: batch})

    with ThreadPoolExecutor(len(sessions)) as pool:
        list(pool.map(run, range(len(sessions))))
    return sum(map(len, batches))


def _open(model: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True, slots=True)
class Memory:
    """The resident memory over a long stream, in MiB: its median from the 400th field on, and its range."""

    fields: int
    median: float
    lowest: float
    highest: float


def memory(predictor: Predictor, samples: list[Sample], *, fields: int) -> Memory:
    """Measure the memory of a stream of cells."""
    process = psutil.Process()
    sizes = []
    stream = predictor.cells(itertools.islice(itertools.cycle(samples), fields))
    for number, _ in enumerate(tqdm(stream, total=fields, unit=" fields", disable=None)):
        if number >= _SETTLED and number % _EVERY == 0:
            sizes.append(process.memory_info().rss / _MIB)
    return Memory(fields, float(np.median(sizes)), min(sizes), max(sizes))
