"""Fuzzes all targets that take input from outside, and saves each input that caused a wrong error.

Run: python -m benchmarks.fuzz OUT --count 1000000
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from pathlib import Path

import click
import psutil

from tests.fuzz.targets import Target, targets

SLOWEST = 5.0  # seconds of processor time per input: a busy machine does not count as a hang
STUCK = 120.0  # seconds of wall time: an endless wait does
_WEIGHTS = {  # shares of the count: the fast targets get the most
    "planes": 1.5,
    "stacks": 0.3,
    "samples": 0.3,
    "tables": 0.5,
    "stations": 0.5,
    "cards": 2.0,
    "models": 0.6,
    "sessions": 0.02,
}
_HUNG = 3


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--count", default=1_000_000, show_default=True, help="Inputs in all.")
@click.option("--seed", default=0, show_default=True)
@click.option("--only", "name", help="One target; used by the command itself, which gives each a process of its own.")
def main(out: Path, count: int, seed: int, name: str | None) -> None:
    """Feed damaged input to all targets, and print the results."""
    out.mkdir(parents=True, exist_ok=True)
    if name is not None:
        _fuzz(targets()[name], name, out, count, seed)
        return
    reports = {}
    for target, weight in _WEIGHTS.items():
        share = round(count * weight / sum(_WEIGHTS.values()))
        arguments = ["-m", "benchmarks.fuzz", str(out), "--count", str(share), "--seed", str(seed), "--only", target]
        end = subprocess.run([sys.executable, *arguments], check=False, stderr=subprocess.DEVNULL)  # noqa: S603
        report = out / f"{target}.json"
        reports[target] = (
            json.loads(report.read_text(encoding="utf-8")) if end.returncode == 0 else {"died": end.returncode}
        )
        click.echo(f"{target}: {reports[target]}")
    (out / "all.json").write_text(json.dumps(reports, indent=2), encoding="utf-8")
    if any(report.get("died") or report.get("findings") for report in reports.values()):
        raise click.ClickException(f"there are findings in {out}")


def _fuzz(target: Target, name: str, out: Path, count: int, seed: int) -> None:
    warnings.simplefilter("ignore")
    findings: dict[str, str] = {}
    process = psutil.Process()
    taken, slowest, began = 0, 0.0, time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        target.feed(target.seeds[0], folder)
        most = first = process.memory_info().rss
        watch = _Watch(out / f"{name}.hung")
        for number in range(count):
            content = target.make(random.Random(f"{seed} {number}"))  # noqa: S311 - chance, not secrecy
            started = watch.start(content)
            try:
                taken += target.feed(content, folder)
            except Exception as error:  # noqa: BLE001 - the search is for unexpected errors
                where = traceback.extract_tb(error.__traceback__)[-1]
                key = f"{type(error).__name__} at {where.filename}:{where.lineno}"
                if key not in findings:
                    findings[key] = str(error)[:200]
                    (out / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}.bin").write_bytes(content)
            slowest = max(slowest, time.process_time() - started)
            if number % 100 == 0:
                most = max(most, process.memory_info().rss)
        watch.stop()
    report = {
        "inputs": count,
        "taken": taken,
        "findings": findings,
        "seconds": round(time.monotonic() - began, 1),
        "slowest": round(slowest, 3),
        "grown_mib": round((most - first) / 2**20),
    }
    (out / f"{name}.json").write_text(json.dumps(report, indent=2), encoding="utf-8")


class _Watch:
    """Ends the process when an input takes too long, and saves the input."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._now: tuple[float, float, bytes] | None = None
        self._stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def start(self, content: bytes) -> float:
        started = time.process_time()
        self._now = started, time.monotonic(), content
        return started

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(0.5):
            if self._now is None:
                continue
            worked, began, content = self._now
            if time.process_time() - worked > SLOWEST or time.monotonic() - began > STUCK:
                self._path.write_bytes(content)
                os._exit(_HUNG)


if __name__ == "__main__":
    main()
