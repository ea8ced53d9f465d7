"""A failure in a long run loses no finished work, and the next run makes the same output."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpa_sdk import Failure, Prediction, Predictor, Sample
from hpa_sdk.batch.fingerprint import Comparison
from hpa_sdk.batch.run import open_run
from hpa_sdk.fields.samples import FieldPlanes
from hpa_sdk.preprocessing import Planes
from tests.hpa_sdk.batch.killed_run import KILLED, killed
from tests.hpa_sdk.batch.runs import RESUMED, make_fields, predict, start
from tests.small import random_planes

pytestmark = pytest.mark.slow

# Where a run is killed: what it is about to do, and for which time. From the fifth on all is answered.
KILLS = (
    ("answer", 3),  # nothing is safe yet
    ("row", 6),  # half of the ledger's second transaction is written
    ("answer", 17),
    ("commit", 3),
    ("answer", 40),
    ("flush", 1),
    ("move", 1),
    ("provenance", 1),
    ("flush", 2),
    ("move", 2),
)
A_SECOND = 4
"""Answers in a second of the ledger's clock, until when an answer has to be safe."""


def test_a_kill_loses_nothing_and_nothing_is_done_twice(model: Path, tmp_path: Path) -> None:
    folder, out, log = tmp_path / "fields", tmp_path / "out.csv", tmp_path / "log"
    ids = [sample.id for sample in make_fields(folder, 40)]
    predict(model, folder, "-o", tmp_path / "plain.csv", *RESUMED[1:])
    safe = 0
    for place, times in KILLS:
        log.unlink(missing_ok=True)
        status, output = killed(model, folder, "-o", out, *RESUMED, place=place, times=times, log=log)
        assert status == KILLED, output
        done = log.read_text(encoding="utf-8").split()
        assert done == ids[safe:][: len(done)]  # no saved field is done again, and none is skipped
        answered, before, safe = safe + len(done), safe, count_safe(out)
        assert safe >= max(before, answered - A_SECOND)
        assert out.exists() == ((place, times) in KILLS[-3:])
    assert safe == len(ids)
    result = predict(model, folder, "-o", out, *RESUMED)
    assert result.exit_code == 0
    assert "40 answers stood in the ledger; 0 fields had changed" in result.stderr
    assert out.read_bytes() == (tmp_path / "plain.csv").read_bytes()
    assert not list(tmp_path.glob(".*.out.csv"))  # no half file stays


def count_safe(out: Path) -> int:
    with closing(sqlite3.connect(f"{out}.ledger")) as ledger:
        (count,) = ledger.execute("SELECT count(*) FROM answers").fetchone()
    return int(count)


@pytest.mark.parametrize("second", [RESUMED, RESUMED[1:]], ids=["resumed second", "plain second"])
@pytest.mark.parametrize("first", ["time", None], ids=["resumed first", "plain first"])
def test_a_second_process_is_refused_and_the_first_continues(
    model: Path, fields: list[Sample], tmp_path: Path, first: Comparison | None, second: tuple[str, ...]
) -> None:
    folder, out = fields[0].files[0].parent, tmp_path / "out.csv"
    with open_run(out, "csv", engine=Predictor.load(model, device="cpu"), resume=first) as run:
        answers = run.answers(iter(fields))
        next(answers)
        refused = start(model, folder, "-o", out, *second)
        message = refused.communicate()[1].decode()
        assert refused.returncode == 2, message
        assert "another run is at work with this output" in message
        assert "Traceback" not in message
        assert len(list(answers)) == 4
    assert len(out.read_text(encoding="utf-8").splitlines()) == 6
    assert predict(model, folder, "-o", out, *second).exit_code == 0  # the lock went with its run


def test_a_full_disk_is_reported_and_saved_answers_stay(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "fields", tmp_path / "out.csv"
    make_fields(folder, 30)
    connect = sqlite3.connect

    def connect_with_quota(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute("PRAGMA max_page_count = 12")
        return connection

    monkeypatch.setattr("hpa_sdk.batch.row_ledger._LONGEST_WAIT", 0)
    monkeypatch.setattr(sqlite3, "connect", connect_with_quota)
    result = predict(model, folder, "-o", out, *RESUMED)
    assert result.exit_code == 2
    assert "disk is full" in result.stderr
    assert not out.exists()
    monkeypatch.undo()
    result = predict(model, folder, "-o", out, *RESUMED)
    assert result.exit_code == 0
    recalled = int(result.stderr.split()[0])
    assert 0 < recalled < 30
    predict(model, folder, "-o", tmp_path / "plain.csv", *RESUMED[1:])
    assert out.read_bytes() == (tmp_path / "plain.csv").read_bytes()


UNSHARE = shutil.which("unshare")


def in_namespace(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script that may mount what nobody else sees."""
    command = [UNSHARE or "", "--map-root-user", "--mount", "sh", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(
    UNSHARE is None or in_namespace("mount -t tmpfs none /mnt").returncode != 0,
    reason="a small disk of its own needs Linux and namespaces of users",
)
@pytest.mark.parametrize("size", ["64k", "290k"])  # no room for the ledger; room for it, not for the output
def test_a_run_resumes_when_a_full_disk_has_space_again(model: Path, tmp_path: Path, size: str) -> None:
    folder, disk = tmp_path / "fields", tmp_path / "disk"
    make_fields(folder, 60)
    disk.mkdir()
    predict(model, folder, "-o", tmp_path / "plain.csv", *RESUMED[1:])
    command = shlex.join(
        [sys.executable, "-m", "hpa_sdk.cli", "predict", *map(str, (model, folder, "-o", disk / "out.csv")), *RESUMED]
    )
    done = in_namespace(
        f"""
        mount -t tmpfs -o size={size} none {disk} && {command}
        echo ended with $?; ls {disk} | tee /dev/stderr
        mount -o remount,size=50m {disk} && {command}
        echo ended with $?; cp {disk}/out.csv {tmp_path}/out.csv
        """
    )
    assert done.stdout.splitlines()[0] == "ended with 2", done.stderr
    assert done.stdout.splitlines()[-1] == "ended with 0", done.stderr
    assert "out.csv" not in done.stdout.splitlines()
    assert "Traceback" not in done.stderr
    assert "disk is full" in done.stderr
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/mem is a file whose first byte can't be read")
def test_a_read_error_is_the_failure_of_one_field(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    plane = fields[2].files[1]
    plane.unlink()
    plane.symlink_to("/proc/self/mem")
    out = tmp_path / "out.csv"
    assert predict(model, plane.parent, "-o", out, *RESUMED).exit_code == 1
    rows = out.read_text(encoding="utf-8").splitlines()[1:]
    assert ["can't be read" in row for row in rows] == [False, False, True, False, False]


@pytest.mark.parametrize("remembers", [True, False])
def test_unlistable_folders_are_reported_and_affect_no_other(
    model: Path, fields: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembers: bool
) -> None:
    folder = fields[0].files[0].parent
    make_fields(folder / "a closed one", 1)
    make_fields(folder / "below", 2)
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "a closed one":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    out = tmp_path / "out.csv"
    result = predict(model, folder, "-r", "-o", out, *RESUMED[not remembers :])
    assert result.exit_code == 1
    rows = out.read_text(encoding="utf-8").splitlines()[1:]
    assert len(rows) == 8
    assert "can't be listed (Permission denied)" in rows[-1]
    assert "a closed one" in rows[-1]


@dataclass(frozen=True)
class Drill:
    """Planes that are made by a function, or whatever it raises."""

    number: int
    make: Callable[[int], Planes]

    def read(self) -> FieldPlanes:
        return FieldPlanes(self.make(self.number))

    def stamp(self) -> str:
        return str(self.number)

    def bound_to(self, stamp: str) -> Drill:
        assert stamp == self.stamp()
        return self

    def __str__(self) -> str:
        return f"drill {self.number}"


def noise(number: int) -> Planes:
    return random_planes(np.random.default_rng(number))


def drills(make: Callable[[int], Planes], count: int = 40) -> Iterator[Sample]:
    for number in range(count):
        yield Sample(f"drill-{number}", (Path(f"{number}.none"),), Drill(number, make))


def answer(model: Path, out: Path, make: Callable[[int], Planes]) -> list[Prediction | Failure]:
    predictor = Predictor.load(model, device="cpu")
    with open_run(out, "csv", engine=predictor, resume="time") as run:
        return list(run.answers(drills(make)))


@pytest.mark.parametrize("error", [RuntimeError("a defect"), MemoryError()])
def test_what_a_worker_raises_loses_nothing_that_was_done(model: Path, tmp_path: Path, error: Exception) -> None:
    def break_once(number: int) -> Planes:
        if number == 20:
            raise error
        return noise(number)

    answer(model, tmp_path / "plain.csv", noise)
    out = tmp_path / "out.csv"
    with pytest.raises(type(error)):
        answer(model, out, break_once)
    assert not out.exists()
    answers = answer(model, out, noise)
    assert not any(isinstance(each, Failure) for each in answers)
    provenance = json.loads((tmp_path / "out.csv.provenance.json").read_text(encoding="utf-8"))
    counts = {"fields": 40, "failed": 0, "recalled": 20, "changed": 0, "remeasured": 0, "warned": 0}
    assert provenance["counts"] == counts
    assert out.read_bytes() == (tmp_path / "plain.csv").read_bytes()


def test_slow_files_change_neither_order_nor_result(model: Path, tmp_path: Path) -> None:
    def slowly(number: int) -> Planes:
        time.sleep(0.1 if number % 10 == 0 else 0)
        return noise(number)

    for name, make in (("plain.csv", noise), ("slow.csv", slowly)):
        answer(model, tmp_path / name, make)
    assert (tmp_path / "slow.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
