"""Runs ``hpa predict`` in a process that kills itself right before something it does, however fast the machine is.

Arguments: what it is about to do, for which time, a file for the ids that the model really answers, then the command's.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from hpa_sdk.batch.provenance import Provenance
from hpa_sdk.cli import main
from hpa_sdk.fields.samples import Sample
from hpa_sdk.files.sqlite_file import SqliteFile
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.writers import CsvWriter

PLACES = {
    "answer": (CsvWriter, "write"),
    "commit": (SqliteFile, "add_rows"),
    "flush": (os, "fsync"),
    "move": (Path, "replace"),
    "provenance": (Provenance, "write"),
}
"""What a run can be killed at; and at a "row", in the middle of a transaction of the ledger."""

KILLED = -signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM
"""The exit status of a process that was killed as hard as the system can."""


def killed(*arguments: object, place: str, times: int, log: Path) -> tuple[int, str]:
    """Run the command in a process of its own until it kills itself; give its exit status and what it said."""
    command = [sys.executable, "-m", "tests.hpa_sdk.batch.killed_run", place, str(times), str(log)]
    done = subprocess.run(
        [*command, "predict", *map(str, arguments)], capture_output=True, encoding="utf-8", check=False
    )
    return done.returncode, done.stderr


def run(place: str, times: int, log: Path, arguments: Sequence[str]) -> None:
    """Run the command in this process."""
    reached = itertools.count(1)

    def pass_by() -> None:
        if next(reached) == times:
            # On Windows this is TerminateProcess.
            os.kill(os.getpid(), signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)

    def passing(do: Callable[..., Any]) -> Callable[..., Any]:
        def pass_by_and_do(*given: Any, **named: Any) -> Any:
            pass_by()
            return do(*given, **named)

        return pass_by_and_do

    def each(rows: Iterable[Sequence[object]]) -> Iterator[Sequence[object]]:
        for row in rows:
            pass_by()
            yield row

    with ExitStack() as stack:
        if place == "row":
            add = SqliteFile.add_rows
            change = patch.object(SqliteFile, "add_rows", lambda file, sql, rows: add(file, sql, each(rows)))
        else:
            change = patch.object(*PLACES[place], passing(getattr(*PLACES[place])))
        stack.enter_context(change)
        stack.enter_context(patch.object(Predictor, "stream", logged(Predictor.stream, log)))
        # A clock that each answer moves on by a quarter of a second.
        clock = SimpleNamespace(monotonic=itertools.count(step=0.25).__next__)
        stack.enter_context(patch("hpa_sdk.batch.row_ledger.time", clock))
        main(arguments)


def logged(stream: Callable[..., Iterator[Any]], log: Path) -> Callable[..., Iterator[Any]]:
    """Record each answer of the model before the run continues."""

    def log_each(self: Predictor, sources: Iterable[Sample]) -> Iterator[Any]:
        with log.open("ab", buffering=0) as file:
            for answer in stream(self, sources):
                file.write(f"{answer.id}\n".encode())
                yield answer

    return log_each


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
