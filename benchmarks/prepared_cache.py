"""Measures the cost of building and reading prepared images, and what they save.

    python -m benchmarks.prepared_cache

Alternatives are measured in turn, A B A B, and the medians are printed with their ratio. ``cores`` shows other work on
the machine: the processor time of a build divided by its wall time. One set of simulated fields is read repeatedly
under many rows; each row is decoded and written like a separate field.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from training.data.dataset import Dataset, read_dataset
from training.data.prepared import DecodedImages, ImageSource, PreparedImages, prepare
from training.simulation import simulate

_WANTED = 1.8
BATCH_SIZE = 10
STATUS = Path("/proc/self/status")


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, default=64, help="simulated fields of 512 x 512 to decode")
    parser.add_argument("--pairs", type=int, default=7, help="how often each pair is measured")
    parser.add_argument("--many", type=int, default=10_000, help="fields whose build is watched; 536 kB of disk each")
    parser.add_argument("--workers", type=int, default=2, help="threads that are compared with one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        simulate(data, count=options.fields, seed=1, workers=options.workers)
        dataset = read_dataset(data)
        measure_build(repeated(dataset, 4 * options.fields), options.pairs, options.workers)
        measure_reading(dataset, Path(folder, "read"), options.pairs)
        measure_memory(repeated(dataset, options.many), Path(folder, "many"))


def measure_build(dataset: Dataset, pairs: int, workers: int) -> None:
    """Compare builds on one thread and on several."""

    def build(threads: int) -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as folder:
            start, processor = time.perf_counter(), time.process_time()
            prepare(dataset, Path(folder), workers=threads)
            seconds = time.perf_counter() - start
            return len(dataset.samples) / seconds, (time.process_time() - processor) / seconds

    runs = [(build(1), build(workers)) for _ in range(pairs)]
    for threads, of_run in ((1, 0), (workers, 1)):
        rates, cores = zip(*(run[of_run] for run in runs), strict=True)
        print_figure(
            f"build, {threads} threads",
            f"{statistics.median(rates):.0f} fields/s, {statistics.median(cores):.2f} cores",
        )
    ratios = [several[0] / one[0] for one, several in runs]
    ratio = statistics.median(ratios)
    verdict = "at least" if ratio >= _WANTED else "BELOW"
    print_figure("ratio", f"{ratio:.2f} ({verdict} {_WANTED}), from {min(ratios):.2f} to {max(ratios):.2f}")


def measure_reading(dataset: Dataset, folder: Path, pairs: int) -> None:
    """Compare a batch of prepared images with a decoded one, in time and values."""
    rng = np.random.default_rng(0)
    prepared, decoded = prepare(dataset, folder), DecodedImages(dataset.samples)
    rows = np.arange(len(prepared))
    print_figure("largest difference", f"{np.abs(prepared[rows] - decoded[rows]).max():.2g}")

    def read(source: ImageSource) -> float:
        drawn = rng.integers(len(source), size=BATCH_SIZE)
        return seconds_of(lambda: source[drawn])

    runs = [(read(prepared), read(decoded)) for _ in range(10 * pairs)]
    fast, slow = (1000 * statistics.median(times) for times in zip(*runs, strict=True))
    print_figure(f"batch of {BATCH_SIZE}, prepared", f"{fast:.2f} ms")
    print_figure(f"batch of {BATCH_SIZE}, decoded", f"{slow:.2f} ms, {slow / fast:.0f} times as long")


def measure_memory(dataset: Dataset, folder: Path) -> None:
    """Measure the anonymous memory of this process while a large file is built and read."""
    fields = len(dataset.samples)
    held: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.2):
            held.append(anonymous_megabytes())

    images: list[PreparedImages] = []
    watcher = threading.Thread(target=watch)
    watcher.start()
    seconds = seconds_of(lambda: images.append(prepare(dataset, folder)))
    stop.set()
    watcher.join()
    size = tqdm.format_sizeof(images[0].path.stat().st_size, "B")
    print_figure(f"build of {fields:,} fields", f"{fields / seconds:.0f} fields/s, {size}")
    print_figure("opening it again", f"{seconds_of(lambda: prepare(dataset, folder)):.2f} s")
    if held:
        quarters = [f"{max(part):.0f}" for part in np.array_split(held, 4)]
        print_figure("anonymous memory, MB", f"most in each quarter of the build: {', '.join(quarters)}")
    rng = np.random.default_rng(0)
    for _ in tqdm(range(500), disable=None):
        images[0][rng.integers(fields, size=BATCH_SIZE)]
    print_figure("  after 500 batches", f"{anonymous_megabytes():.0f}")


def repeated(dataset: Dataset, fields: int) -> Dataset:
    """Return a data set that repeats the same fields."""
    rows = np.arange(fields) % len(dataset.samples)
    return replace(
        dataset,
        samples=dataset.pick(rows),
        targets=dataset.targets[rows],
        fingerprint=f"{dataset.fingerprint} {fields}",
    )


def anonymous_megabytes() -> float:
    """Read RssAnon from ``/proc``; NaN if there is none."""
    if not STATUS.exists():
        return float("nan")
    fields = dict(line.split(":", 1) for line in STATUS.read_text(encoding="utf-8").splitlines())
    return int(fields["RssAnon"].split()[0]) / 1024


def seconds_of(work: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def print_figure(what: str, found: str) -> None:
    """Print one line."""
    click.echo(f"{what:32}{found}")


if __name__ == "__main__":
    main()
