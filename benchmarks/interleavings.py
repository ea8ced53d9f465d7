"""Searches for wrong answers in random interleavings of file changes, model changes and predictions.

    python -m benchmarks.interleavings --count 10000

In an interleaving, planes are replaced, rewritten, renamed, swapped, removed and restored, their times set, and the
model file changed, in random order, between and during the reads of a stream, of a run with a ledger that is stopped
and resumed, or of a watch with its page. Each answer, row, result and picture is compared with the correct one for the
bytes that it names. The exit code is 1 if one is wrong. Most of the time is waiting: more processes than cores help.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click
from tqdm import tqdm

from tests.hpa_sdk.identity.runs import Runs
from tests.hpa_sdk.identity.watched import Watched
from tests.hpa_sdk.identity.world import World

_WATCHED_SHARE = 0.3
_BURSTS = 30
"""Interleavings of one watch between two checks, at which all current files must be answered."""

_FIELDS = 3
_PAUSES = (0.0, 0.0, 0.002, 0.02, 0.08)  # seconds
_STEPS = {"do": 10, "load": 2, "begin_stream": 2, "begin_run": 4, "step": 10, "finish": 2, "stop": 1}


def main() -> None:
    """Run the search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="interleavings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=6)
    options = parser.parse_args()
    watches = round(options.count * _WATCHED_SHARE / _BURSTS)
    tasks = [("watch", seed) for seed in range(watches)]
    tasks += [("run", seed) for seed in range(options.count - watches * _BURSTS)]
    seeds = [(kind, options.seed + seed) for kind, seed in tasks]
    total: Counter[str] = Counter()
    wrong: list[str] = []
    began = time.monotonic()
    with ProcessPoolExecutor(options.processes) as pool:
        for counts, lines in tqdm(pool.map(_search, seeds, chunksize=4), total=len(seeds), disable=None):
            total.update(counts)
            wrong += lines
    click.echo(json.dumps({**total, "wrong": len(wrong), "seconds": round(time.monotonic() - began)}, indent=2))
    for line in wrong[:20]:
        click.echo(line)
    sys.exit(bool(wrong))


def _search(task: tuple[str, int]) -> tuple[Counter[str], list[str]]:
    logging.getLogger("hpa_sdk").setLevel(logging.CRITICAL)
    kind, seed = task
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder, "world"), fields=_FIELDS, seed=seed)
        counts, wrong = (_search_watch if kind == "watch" else _search_runs)(world, Path(folder))
    return counts, [f"{kind} {seed}: {line}" for line in wrong]


def _search_runs(world: World, folder: Path) -> tuple[Counter[str], list[str]]:
    runs = Runs(world, folder / "out.csv", world.random.choice(["time", "content"]))
    with world.disturbed(world.random.choice([0.0, 0.02, 0.2])):
        for step in _any_steps(world):
            if step == "do":
                world.do_anything()
            else:
                getattr(runs, step)()
        runs.finish()
    # Once more, undisturbed: the run must answer exactly the current files.
    runs.begin_run()
    runs.finish()
    counts = {"answers": runs.answers, "failures": runs.failures, "cached": runs.hits}
    return Counter({"interleavings": 1, "of runs": 1, **counts}), runs.wrong


def _any_steps(world: World) -> Iterator[str]:
    for _ in range(world.random.randrange(5, 40)):
        yield from world.random.choices(list(_STEPS), list(_STEPS.values()))


def _search_watch(world: World, folder: Path) -> tuple[Counter[str], list[str]]:
    watched = Watched(world, folder / "answers")
    watched.start()
    try:
        with world.disturbed(world.random.choice([0.0, 0.02])):
            for _ in range(_BURSTS):
                for _ in range(world.random.randrange(1, 8)):
                    world.do_anything()
                    time.sleep(world.random.choice(_PAUSES))
                    watched.look()
                if world.random.randrange(10) == 0:
                    watched.start()
        watched.settle()
    finally:
        watched.stop()
    counts = {"results": watched.results, "pictures": watched.pictures, "pictures refused": watched.refused}
    return Counter({"interleavings": _BURSTS, "of watches": _BURSTS, **counts}), watched.wrong


if __name__ == "__main__":
    main()
