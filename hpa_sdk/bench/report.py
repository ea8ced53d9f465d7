"""Measures the figures that ``hpa bench`` reports."""

from __future__ import annotations

import itertools
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil

from hpa_sdk.bench.baselines import Baseline
from hpa_sdk.bench.rates import Spread, in_turn, latencies, rate
from hpa_sdk.bench.stages import Stages
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.inference.devices import NVIDIA, Device
from hpa_sdk.inference.int8_overflow import describe_int8
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import White

LEAST_LATENCIES = 30
"""Minimum number of answers for a percentile."""

_UNMEASURED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What limits the rate.

    Attributes
    ----------
    decoder, reading, raw_session : Spread
        Fields per second of each alone; reading is decoding and preprocessing.
    ceiling : Spread
        Highest possible fields per second. On a GPU, the model runs in parallel with reading, and it is the lesser of
        reading and session; if both use the same cores, it is 1 / (1 / reading + 1 / session).
    binding : str
        The limit: ``"reading"``, ``"session"``, or ``"both on the same cores"``.
    offline : Spread
        Fields per second from file to answer.
    share : Spread
        Share of the ceiling in the same round.
    """

    decoder: Spread
    reading: Spread
    raw_session: Spread
    ceiling: Spread
    binding: str
    offline: Spread
    share: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """A predictor compared with a baseline, measured alternately.

    Attributes
    ----------
    baseline : str
        Its name.
    ours, theirs : Spread
        Fields per second, from file to answer.
    ratio : Spread
        Ours over theirs, in the same round.
    fields : int
        Fields that both answered.
    same_label_sets : float
        Share of these with the same label set, 0 to 1.
    """

    baseline: str
    ours: Spread
    theirs: Spread
    ratio: Spread
    fields: int
    same_label_sets: float


def measure(
    predictor: Predictor,
    paths: Sequence[str],
    baseline: Baseline | None,
    *,
    model: Path,
    white: White | None,
    rounds: int,
    seconds: float,
    fields: int,
    progress: Progress,
) -> dict[str, Any]:
    """Measure a predictor on the fields that paths name, and against a baseline.

    Raises
    ------
    SampleError
        No path leads to a sample.
    PlaneError
        A field can't be read; all measured fields must be readable.
    """
    found = (sample for path in paths for sample in find_samples(path))
    samples = list(islice(found, fields))
    predictor.predict(samples[0])
    stages = Stages(predictor, samples, white, seconds)
    progress.reset(total=2 + rounds * (1 if baseline is None else 2))
    figures: dict[str, Any] = {
        "model": str(model),
        "device": predictor.device,
        "providers": predictor.providers,
        "threads": asdict(predictor.threads),
        "fields": len(samples),
        "machine": machine(),
        "single_stream_ms": single_stream(stages),
    }
    progress.update()
    figures["stages_ms"] = stages.one_after_the_other()
    progress.update()
    figures["offline"] = measure_ceiling(stages, rounds, progress.update)
    if baseline is not None:
        figures["against"] = duel(stages, baseline, rounds, progress.update)
    return figures


class Progress(Protocol):
    """A progress display, such as a tqdm bar."""

    def reset(self, total: float | None = None) -> object:
        """Set the number of steps."""

    def update(self) -> object:
        """Report that a step is done."""


def machine() -> dict[str, Any]:
    """Describe this machine, for a table."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "int8": describe_int8(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
    }


def single_stream(stages: Stages) -> dict[str, float]:
    """Measure MLPerf's single stream: one field at a time from file to answer, in milliseconds."""
    samples = itertools.cycle(stages.samples)
    _unmeasured, *times = latencies(
        lambda: stages.predictor.predict(next(samples)), seconds=stages.seconds, least=LEAST_LATENCIES
    )
    p50, p90, p99 = np.percentile(times, (50, 90, 99)) * 1e3
    return {"p50": float(p50), "p90": float(p90), "p99": float(p99), "answers": len(times)}


def offline(stages: Stages) -> float:
    """Measure MLPerf's offline scenario: fields per second, from file to answer, with an endless supply of fields."""
    stages.predictor.session.for_many()
    answers = stages.predictor.stream(itertools.cycle(stages.samples), on_error="raise")
    plan = stages.predictor.threads
    filled = 2 * (plan.parallel_runs + 1) * stages.predictor.session.batch_size + plan.workers
    return rate(answers, seconds=stages.seconds, unmeasured=filled)


def measure_ceiling(stages: Stages, rounds: int, on_round: Callable[[], object]) -> Ceiling:
    """Measure the offline scenario, alternating with everything that could limit it.

    Parameters
    ----------
    stages : Stages
        What to measure.
    rounds : int
        Number of rounds.
        on_round : callable
        Called after each round.
    """
    on_gpu = Device.parse(stages.predictor.device).kind in NVIDIA
    rows: list[dict[str, float]] = []
    parts = {
        "offline": lambda: offline(stages),
        "raw_session": stages.raw_session,
        "reading": stages.reading,
        "decoder": stages.decoder,
    }
    for row in in_turn(parts, rounds):
        reading, session = row["reading"], row["raw_session"]
        ceiling = min(reading, session) if on_gpu else 1 / (1 / reading + 1 / session)
        rows.append(row | {"ceiling": ceiling, "share": row["offline"] / ceiling})
        on_round()
    spreads = {name: Spread.of([row[name] for row in rows]) for name in rows[0]}
    lesser = "reading" if spreads["reading"].median < spreads["raw_session"].median else "session"
    return Ceiling(binding=lesser if on_gpu else "both on the same cores", **spreads)


def duel(stages: Stages, baseline: Baseline, rounds: int, on_round: Callable[[], object]) -> Duel:
    """Measure a predictor and a baseline alternately on the same fields, and compare their label sets.

    Parameters
    ----------
    stages : Stages
        What to measure.
    baseline : Baseline
        What to compare it with.
    rounds : int
        Number of pairs.
        on_round : callable
        Called after each pair.
    """
    same = _same_label_sets(stages, baseline)
    rows: list[dict[str, float]] = []
    pair = {
        "ours": lambda: offline(stages),
        "theirs": lambda: rate(
            baseline.answers(itertools.cycle(stages.samples)), seconds=stages.seconds, unmeasured=_UNMEASURED
        ),
    }
    for row in in_turn(pair, rounds):
        rows.append(row | {"ratio": row["ours"] / row["theirs"]})
        on_round()
    spreads = {name: Spread.of([row[name] for row in rows]) for name in rows[0]}
    return Duel(baseline=baseline.name, fields=len(same), same_label_sets=float(np.mean(same)), **spreads)


def _same_label_sets(stages: Stages, baseline: Baseline) -> list[bool]:
    ours = [prediction.labels for prediction in stages.predictor.predict(stages.samples)]
    thresholds, scheme = stages.predictor.thresholds, stages.predictor.card.label_scheme
    theirs = [
        {scheme[int(index)] for index in np.flatnonzero(probabilities >= thresholds)}
        for probabilities in baseline.answers(iter(stages.samples))
    ]
    return [one == other for one, other in zip(ours, theirs, strict=True)]


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return f"{len(names)} x {names[0]}" if names else f"{psutil.cpu_count()} x {platform.processor()}"


def as_json(figures: dict[str, Any]) -> dict[str, Any]:
    """Convert the figures to JSON values."""
    return {name: asdict(value) if isinstance(value, Ceiling | Duel) else value for name, value in figures.items()}
