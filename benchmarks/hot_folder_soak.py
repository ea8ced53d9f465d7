"""Checks that `hpa watch` loses no field and answers none twice under kills and other faults, and measures its delay.

    python -m benchmarks.hot_folder_soak
    python -m benchmarks.hot_folder_soak --fields 200 --kills 1 --old-files 100000 --seed 2
    python -m benchmarks.hot_folder_soak --fields 300 --kills 5 --cells
    python -m benchmarks.hot_folder_soak --fields 8000 --minutes 60 --kills 60 --moves 10 --cells

Fields of four small planes are written to a folder in random order and in pieces, while the watch is killed repeatedly
and the folder is moved away and back. Some fields never get their last plane, some have a plane that is not a picture,
and old files must be skipped. At the end the table and the JSON files are compared with what was written. With --cells
the station answers for cells too, and their tables are compared with what `hpa cells` writes for the same files.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from PIL import Image

from hpa_sdk.fields.samples import Channel
from hpa_sdk.labels import Label
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_ledger import Ledger
from hpa_sdk.results.result_store import LEDGER, TABLE
from hpa_sdk.workstation.arrivals import Arrivals
from hpa_sdk.workstation.field_cells import CELLS_FOLDER
from hpa_sdk.workstation.folder_turns import SHARE
from hpa_sdk.workstation.station import read_station
from hpa_sdk.workstation.watched_files import read_stamp
from tests.hpa_sdk.cells.made_fields import FOUR, draw
from tests.small import make_model, random_planes

_FIELDS_AT_A_TIME = 40
_AHEAD = 400  # fields started and not yet answered
_AWAY_SECONDS = 2.0
_STUCK_SECONDS = 240.0
_COMPARED = 50
_LOOKS = 32
_CHUNKS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakSettings:
    """The faults and the load for the watch. Times are in seconds.

    Of `bad_every` fields one lacks a plane and one has a plane that is not a picture; `plane_timeout` is the station's
    wait for a missing plane; `late_fields` are written one by one at the end, to measure the delay of their answers;
    `old_files` are in the folder before the watch first starts, with the option to skip them; with `cells`, fields show
    cells, which are answered too. The fields come in groups over `minutes`, or as fast as they are answered.
    """

    fields: int = 10_000
    minutes: float = 0.0
    bad_every: int = 100
    kills: int = 10
    moves: int = 2
    settle: float = 1.0
    plane_timeout: float = 20.0
    late_fields: int = 20
    old_files: int = 0
    cells: bool = False
    seed: int = 1


@dataclass(slots=True)
class SoakResults:
    """The results; `wrong` is empty if all is correct. Times are in seconds."""

    wrong: list[str] = field(default_factory=list)
    kills: int = 0
    skip_seconds: float = 0.0
    seconds: float = 0.0
    delays: list[float] = field(default_factory=list)
    predict_seconds: float = 0.0
    look_seconds: float = 0.0
    look_cpu_seconds: float = 0.0
    files: int = 0
    chunks_seconds: float = 0.0
    peak_memory: str = "unknown"
    cells: int = 0


class Soak:
    """One run in a folder of its own."""

    def __init__(self, folder: Path, settings: SoakSettings) -> None:
        self._settings = settings
        self._random = random.Random(settings.seed)  # noqa: S311 - a repeatable order, not a secret
        noise = np.random.default_rng(settings.seed)
        fields = [_draw(noise) if settings.cells else random_planes(noise) for _ in range(8)]
        self._pictures = [list(map(_png, planes)) for planes in fields]
        self._watched, self._answers, self._station = folder / "exports", folder / "answers", folder / "station.toml"
        self._log = folder / "watch.log"
        for made in (self._watched, self._answers):
            made.mkdir(parents=True)
        self._model = make_model(folder / "small.onnx")
        self._station.write_text(
            'model = "small.onnx"\nwatch = "exports"\noutput = "answers"\ndevice = "cpu"\n[files]\npattern = "hpa"\n'
            f"[arrival]\nsettle_seconds = {settings.settle}\nplane_timeout_seconds = {settings.plane_timeout}\n"
            + ("[cells]\n" if settings.cells else ""),
            encoding="utf-8",
        )
        self._ledger = Ledger(self._answers / LEDGER)
        self._begun = 0
        self._bad: dict[str, str] = {}

    def run(self) -> SoakResults:
        """Run everything."""
        results = SoakResults()
        for at, channel in zip(range(self._settings.old_files), cycle(Channel), strict=False):
            (self._watched / f"old-{at // 4}_{channel}.png").write_bytes(self._pictures[0][0])
        began = time.monotonic()
        watch = self._start()
        while self._ledger.fact("begun") is None and time.monotonic() < began + _STUCK_SECONDS:
            time.sleep(0.01)
        results.skip_seconds = time.monotonic() - began
        kills, moves = self._moments(self._settings.kills), self._moments(self._settings.moves)
        try:
            for written in self._write_fields():
                if kills and written >= kills[0]:
                    kills.pop(0)
                    results.kills += 1
                    watch.kill()
                    watch.wait()
                    watch = self._start()
                if moves and written >= moves[0]:
                    moves.pop(0)
                    self._move_away_and_back()
            self._wait_for_all(results)
            results.seconds = time.monotonic() - began
            results.delays = [self._delay(f"late-{at}") for at in range(self._settings.late_fields)]
            results.peak_memory = _peak_memory(watch.pid)
        finally:
            watch.terminate()
            code = watch.wait()
        # On Windows terminate kills the process, with exit code 1.
        if code not in {0, 1}:
            results.wrong.append(f"the watch ended with exit code {code}")
        results.wrong += self._differences()
        if self._settings.cells:
            results.wrong += self._cell_differences(results)
        self._measure(results)
        self._ledger.close()
        return results

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "hpa_sdk.cli", "watch", str(self._station), "--existing", "skip"]
            return subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - our own command

    def _moments(self, count: int) -> list[int]:
        planes = range(1, 4 * self._settings.fields - self._settings.fields // 10)
        return sorted(self._random.sample(planes, count))

    def _write_fields(self) -> Iterator[int]:
        """Write all fields, a few at a time; yields the number of planes that are written."""
        fields: list[Iterator[bool]] = []
        written = 0
        pause = 60 * self._settings.minutes / self._settings.fields
        due = time.monotonic()
        while True:
            while len(fields) < _FIELDS_AT_A_TIME and self._begun < self._settings.fields and time.monotonic() >= due:
                fields.append(self._write_field(self._begun))
                self._begun += 1
                due += pause * _FIELDS_AT_A_TIME * (self._begun % _FIELDS_AT_A_TIME == 0)
                while self._begun - self._ledger.count() > _AHEAD:
                    time.sleep(0.05)
            if not fields:
                if self._begun == self._settings.fields:
                    return
                time.sleep(0.05)
                continue
            chosen = self._random.choice(fields)
            closed = next(chosen, None)
            if closed is None:
                fields.remove(chosen)
            elif closed:
                written += 1
                yield written

    def _write_field(self, at: int) -> Iterator[bool]:
        """Write a field piece by piece; yields whether a plane was closed."""
        name, turn = f"field-{at:05d}", at % self._settings.bad_every
        channels = self._random.sample(list(Channel), len(Channel))
        pictures = dict(zip(Channel, self._random.choice(self._pictures), strict=True))
        if turn == 1:
            self._bad[name] = f"no channel is {channels.pop()}"
        for channel in channels:
            content = pictures[channel]
            if turn == self._settings.bad_every // 2 and channel == channels[0]:
                self._bad[name] = f"{name}_{channel}.png"
                content = self._random.choice([b"", b"no picture", content[: len(content) // 2]])
            cuts = sorted(self._random.sample(range(max(len(content), 2)), self._random.randrange(3)))
            with (self._watched / f"{name}_{channel}.png").open("wb") as file:
                for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
                    file.write(content[start:end])
                    file.flush()
                    yield False
            yield True

    def _move_away_and_back(self) -> None:
        away = self._watched.with_name("away")
        self._watched.rename(away)
        time.sleep(_AWAY_SECONDS)
        away.rename(self._watched)

    def _wait_for_all(self, results: SoakResults) -> None:
        deadline = time.monotonic() + _STUCK_SECONDS
        expected = self._settings.fields, len(self._bad)
        while (found := (self._ledger.count(), self._ledger.count(failed=True))) != expected:
            if time.monotonic() > deadline:
                results.wrong.append(f"results and failures are {found}, not {expected}; see {self._log}")
                return
            time.sleep(0.2)

    def _delay(self, name: str) -> float:
        """Return the seconds from closing a field's last plane to its JSON file."""
        for channel, picture in zip(Channel, self._random.choice(self._pictures), strict=True):
            (self._watched / f"{name}_{channel}.png").write_bytes(picture)
        closed = time.monotonic()
        while not (self._answers / f"{name}.json").exists() and time.monotonic() < closed + _STUCK_SECONDS:
            time.sleep(0.005)
        return time.monotonic() - closed

    def _differences(self) -> Iterator[str]:
        """Compare the results with what was written."""
        names = {f"field-{at:05d}" for at in range(self._settings.fields)}
        names.update(f"late-{at}" for at in range(self._settings.late_fields))
        with (self._answers / TABLE).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        times = Counter(row["id"] for row in rows)
        yield from (f"{name} is {times[name]} times in the table" for name in sorted(names) if times[name] != 1)
        yield from (f"{name} is in the table and was never written" for name in sorted(times.keys() - names))
        files = {path.name for path in self._answers.iterdir()}
        files -= {TABLE, LEDGER, CELLS_FOLDER, *(f"{LEDGER}{end}" for end in ("-wal", "-shm", ".lock"))}
        yield from (f"{name} is no JSON file" for name in sorted({f"{name}.json" for name in names} ^ files))
        for row in rows:
            text = (self._answers / f"{row['id']}.json").read_bytes()
            if [str(cell) for cell in Result.from_json(text).to_row()] != list(row.values()):
                yield f"{row['id']} differs between the table and its JSON file"
            reason = self._bad.get(row["id"])
            if bool(row["error"]) != bool(reason) or (reason or "") not in row["error"]:
                yield f"{row['id']} should fail with {reason!r}, and the table says {row['error']!r}"
        yield from self._unlike_the_predictor([row for row in rows if not row["error"]])

    def _cell_differences(self, results: SoakResults) -> Iterator[str]:
        """Compare the tables of cells with one run of `hpa cells` on the same files."""
        once = self._answers.with_name("cells.csv")
        command = [sys.executable, "-m", "hpa_sdk.cli", "cells", str(self._model), str(self._watched), "-o", str(once)]
        subprocess.run([*command, "--station", str(self._station), "--device", "cpu"], check=False, capture_output=True)  # noqa: S603 - our own command
        expected: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        for row in _rows(once):
            if not row["id"].startswith("old-"):
                expected[row["id"]].append(row)
        tables = {file.name for file in (self._answers / CELLS_FOLDER).iterdir()}
        yield from (
            f"the table {name} is missing, or too many" for name in tables ^ {f"{name}.csv" for name in expected}
        )
        for name, rows in expected.items():
            found = _rows(self._answers / CELLS_FOLDER / f"{name}.csv")
            results.cells += sum(bool(row["cell"]) for row in found)
            if name in self._bad:  # the watch waited for the missing plane, and says so
                if [bool(row["error"]) for row in found] != [True]:
                    yield f"the cells of {name} should fail"
            elif found != rows:
                yield f"the cells of {name} differ from those of hpa cells"

    def _unlike_the_predictor(self, rows: list[dict[str, str]]) -> Iterator[str]:
        predictor = Predictor.load(self._model, device="cpu")
        for row in self._random.sample(rows, min(_COMPARED, len(rows))):
            (prediction,) = predictor.predict(self._watched / row["id"])
            if not np.array_equal(prediction.probabilities, [np.float32(row[label.hpa_name]) for label in Label]):
                yield f"{row['id']} differs from the predictor's own answer"

    def _measure(self, results: SoakResults) -> None:
        predictor = Predictor.load(self._model, device="cpu")
        whole = (name for at in range(10) if (name := f"field-{at:05d}") not in self._bad)
        results.predict_seconds = statistics.median(
            timeit.timeit(partial(predictor.predict, self._watched / name), number=1) for name in whole
        )
        arrivals = Arrivals(read_station(self._station), self._ledger)
        arrivals.look(1)
        cpu = time.process_time()
        results.look_seconds = statistics.median(timeit.repeat(partial(arrivals.look, 1), number=1, repeat=_LOOKS))
        results.look_cpu_seconds = (time.process_time() - cpu) / _LOOKS
        results.files = sum(1 for _ in self._watched.iterdir())
        chunks = self._watched.with_name("chunks.zarr")
        for at in range(_CHUNKS):
            (chunks / str(at // 100)).mkdir(parents=True, exist_ok=True)
            (chunks / str(at // 100) / str(at)).write_bytes(b"chunk")
        looks = timeit.repeat(partial(read_stamp, chunks), number=1, repeat=_LOOKS)
        results.chunks_seconds = statistics.median(looks)


def _draw(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw a field of four cells at other places each time."""
    return draw([(y + int(rng.integers(-25, 25)), x + int(rng.integers(-25, 25))) for y, x in FOUR])


def _rows(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _png(plane: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(plane).save(file, "PNG")
    return file.getvalue()


def _peak_memory(process: int) -> str:
    status = Path(f"/proc/{process}/status")
    text = status.read_text(encoding="utf-8") if status.exists() else "VmHWM: unknown on this system"
    return text.partition("VmHWM:")[2].partition("\n")[0].strip()


def main() -> None:
    """Run the soak and print its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = SoakSettings()
    parser.add_argument("--fields", type=int, default=usual.fields)
    parser.add_argument("--minutes", type=float, default=usual.minutes)
    parser.add_argument("--kills", type=int, default=usual.kills)
    parser.add_argument("--moves", type=int, default=usual.moves)
    parser.add_argument("--old-files", type=int, default=usual.old_files)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--cells", action="store_true")
    settings = SoakSettings(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory() as folder:
        results = Soak(Path(folder) / "soak", settings).run()
    delays = f"median {statistics.median(results.delays):.2f} s, longest {max(results.delays):.2f} s"
    allowed = f"settle {settings.settle:g} s + 1 s + prediction {results.predict_seconds:.3f} s"
    look = f"{results.look_seconds * 1000:.0f} ms, {results.look_cpu_seconds * 1000:.0f} ms of the processor"
    chunks = f"{results.chunks_seconds * 1000:.1f} ms, at most once in {results.chunks_seconds / SHARE:.2f} s"
    for line in (
        f"{settings.fields} fields in {results.seconds:.0f} s (seed {settings.seed})",
        f"{settings.old_files} old files skipped after {results.skip_seconds:.1f} s, with the start of the process",
        f"the watch killed {results.kills} times, the folder moved away {settings.moves} times",
        *([f"{results.cells} cells, the same as those of hpa cells"] if settings.cells and not results.wrong else []),
        f"peak memory of the last watch: {results.peak_memory}",
        f"last plane closed to JSON file: {delays}; allowed are {allowed}",
        f"one look at {results.files} files: {look}",
        f"one look into an OME-Zarr folder of {_CHUNKS} chunk files: {chunks}",
        *(f"WRONG: {wrong}" for wrong in results.wrong),
        f"{len(results.wrong)} things are wrong" if results.wrong else "nothing lost, nothing twice",
    ):
        click.echo(line)
    sys.exit(bool(results.wrong))


if __name__ == "__main__":
    main()
