"""Measures long runs: memory and discovery over many fields, the cost of ledger and writer, and killed runs.

Run: python -m benchmarks.batch_soak soak --count 100000
     python -m benchmarks.batch_soak overhead
     python -m benchmarks.batch_soak kills --count 50
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
import psutil

from hpa_sdk import Predictor, find_samples
from hpa_sdk.batch.discovery import count_aside, find_all
from hpa_sdk.batch.run import open_run
from tests.hpa_sdk.batch.runs import RESUMED, kill_after, make_fields, start
from tests.small import make_model

_DIFFERENT = 500  # fields that are written; the others are links to them
_SETTLED = 0.1  # share of the run after which memory must be flat
_MODEL = click.option("--model", type=click.Path(path_type=Path), help="Default: a small one of the contract.")


@click.group()
def main() -> None:
    """Measure long runs."""


@main.command()
@click.option("--count", default=100_000, show_default=True)
@_MODEL
def soak(count: int, model: Path | None) -> None:
    """Run many fields with a ledger, and print time and memory."""
    with _fields(count) as folder:
        began = time.perf_counter()
        found = sum(1 for _ in find_samples(folder))
        figures: dict[str, object] = {"discovery_per_s": round(found / (time.perf_counter() - began))}
        predictor = Predictor.load(_model(folder, model), device="cpu", threads=1)
        counted: list[float] = []
        began = time.perf_counter()
        paths = [str(folder)]
        samples = find_all(paths, recursive=False, root=None)
        count_aside(paths, lambda _: counted.append(time.perf_counter() - began), recursive=False)
        memory, first = [], 0.0
        with open_run(folder.parent / "out.csv", "csv", engine=predictor, resume="time", log=click.echo) as run:
            for number, _ in enumerate(run.answers(samples)):
                first = first or time.perf_counter() - began
                if number % max(1, count // 200) == 0:
                    memory.append(psutil.Process().memory_info().rss / 2**20)
        settled = memory[round(len(memory) * _SETTLED) :]
        figures |= {
            "fields": run.fields,
            "failed": run.failed,
            "seconds": round(time.perf_counter() - began, 1),
            "first_answer_s": round(first, 2),
            "total_known_s": round(counted[0], 2),
            "rss_mib": [round(each) for each in memory[:: max(1, len(memory) // 10)]],
            "rss_spread": f"{max(settled) / statistics.median(settled) - 1:+.1%}"
            f" {min(settled) / statistics.median(settled) - 1:+.1%}",
        }
    click.echo(json.dumps(figures, indent=2))


@main.command()
@click.option("--count", default=2000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@_MODEL
def overhead(count: int, rounds: int, model: Path | None) -> None:
    """Compare the processor time of a run, steadier on a busy machine, with and without ledger and writer."""
    with _fields(count) as folder:
        predictor = Predictor.load(_model(folder, model), device="cpu", threads=1)
        samples = list(find_samples(folder))
        bare, with_ledger = [], []
        for number in range(rounds):
            began = time.process_time()
            for _ in predictor.stream(iter(samples)):
                pass
            bare.append(time.process_time() - began)
            began = time.process_time()
            out = folder.parent / f"{number}.csv"
            with open_run(out, "csv", engine=predictor, resume="time", log=click.echo) as run:
                for _ in run.answers(iter(samples)):
                    pass
            with_ledger.append(time.process_time() - began)
    ms = 1000 / count
    figures = {
        "bare_ms_a_field": round(statistics.median(bare) * ms, 3),
        "more_ms_a_field": round((statistics.median(with_ledger) - statistics.median(bare)) * ms, 3),
        "overhead": f"{statistics.median(with_ledger) / statistics.median(bare) - 1:.1%}",
    }
    click.echo(json.dumps(figures))


@main.command()
@click.option("--count", default=50, show_default=True, help="Kills.")
@click.option("--fields", default=2000, show_default=True)
@click.option("--seed", default=0, show_default=True)
def kills(count: int, fields: int, seed: int) -> None:
    """Kill a number of runs at random points, and compare the results with those of an undisturbed run."""
    rng = np.random.default_rng(seed)
    killed, runs, different = 0, 0, 0
    with _fields(fields) as folder:
        model, plain, out = _model(folder, None), folder.parent / "plain.csv", folder.parent / "out.csv"
        began = time.monotonic()
        start(model, folder, "-o", plain, *RESUMED[1:]).communicate()
        longest = time.monotonic() - began
        while killed < count:
            if kill_after(start(model, folder, "-o", out, *RESUMED), rng.uniform(0.2, 1) * longest):
                killed += 1
                continue
            different += not _is_whole(out, plain)
            runs += 1
            for file in folder.parent.glob("out.csv*"):
                file.unlink()
        start(model, folder, "-o", out, *RESUMED).communicate()
        different += not _is_whole(out, plain)
    click.echo(json.dumps({"kills": killed, "finished_runs": runs + 1, "different_from_undisturbed": different}))
    sys.exit(bool(different))


def _is_whole(out: Path, plain: Path) -> bool:
    return out.exists() and out.read_bytes() == plain.read_bytes()


@contextmanager
def _fields(count: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "fields"
        originals = make_fields(Path(scratch) / "originals", min(count, _DIFFERENT))
        folder.mkdir()
        for number in range(count):
            original = originals[number % len(originals)]
            for file in original.files:
                os.link(file, folder / file.name.replace(original.id, f"{number:07}"))
        yield folder


def _model(folder: Path, model: Path | None) -> Path:
    return model or make_model(folder.parent / "small.onnx")


if __name__ == "__main__":
    main()
