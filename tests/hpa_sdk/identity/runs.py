"""Predicts and resumes in a `World`, in steps between which anything is done to it, and checks every answer."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from hpa_sdk import Failure, Prediction, Predictor
from hpa_sdk.batch.discovery import find_all
from hpa_sdk.batch.fingerprint import Comparison
from hpa_sdk.batch.run import open_run
from hpa_sdk.errors import HpaError
from hpa_sdk.files.file_state import FileStamp, FileState
from hpa_sdk.labels import Label
from tests.hpa_sdk.identity.world import World


class Runs:
    """Streams and resumed runs in a world; `wrong` gets a line for each wrong answer."""

    def __init__(self, world: World, out: Path, comparison: Comparison = "time") -> None:
        self.wrong: list[str] = []
        self.answers = 0
        self.failures = 0
        self.hits = 0
        self._world = world
        self._out = out
        self._comparison = comparison
        self._predictor: Predictor | None = None
        self._steps: Iterator[None] | None = None

    def load(self) -> None:
        """Load the model file; if there is none, keep the model loaded before."""
        try:
            self._predictor = Predictor.load(self._world.model, device="cpu", threads=self._world.random.choice([1, 2]))
        except HpaError:
            if self._predictor is None:
                self._world.bring_back_model()
                self.load()

    def begin_stream(self) -> None:
        """Begin to predict all fields, one or several times over."""
        self.stop()
        self._steps = self._stream(self._world.random.choice([1, 2, 12]))

    def begin_run(self) -> None:
        """Start a run with a ledger, or resume the stopped one."""
        self.stop()
        self._steps = self._run()

    def step(self) -> None:
        """Take some answers, if something runs."""
        for _ in range(self._world.random.choice([1, 1, 2, 20])):
            if self._steps is not None and next(self._steps, "end") == "end":
                self._steps = None

    def finish(self) -> None:
        """Take all answers that are left."""
        while self._steps is not None:
            self.step()

    def stop(self) -> None:
        """Stop what runs, wherever it is."""
        if self._steps is not None:
            self._steps.close()  # type: ignore[attr-defined]
            self._steps = None

    def _stream(self, times: int) -> Iterator[None]:
        predictor, since = self._loaded(), self._world.moment
        sources = [str(self._world.fields / name) for name in self._world.names] * times
        for answer in predictor.stream(sources):
            self._check(answer, predictor, since)
            yield

    def _run(self) -> Iterator[None]:
        predictor, since = self._loaded(), self._world.moment
        found = find_all([str(self._world.fields)], recursive=False, root=None)
        with ExitStack() as stack:
            run = stack.enter_context(
                open_run(self._out, "csv", engine=predictor, resume=self._comparison, log=lambda _: None)
            )
            for answer in run.answers(found):
                self._check(answer, predictor, since)
                yield
        self.hits += run.cache.hits
        self._check_output(predictor, since)

    def _loaded(self) -> Predictor:
        if self._predictor is None:
            self.load()
        assert self._predictor is not None
        return self._predictor

    def _check(self, answer: Prediction | Failure, predictor: Predictor, since: int) -> None:
        self.answers += 1
        if isinstance(answer, Failure):
            self.failures += 1
        elif (wrong := self._world.is_wrong(answer, model=predictor.model.sha256, since=since)) is not None:
            self.wrong.append(wrong)

    def _check_output(self, predictor: Predictor, since: int) -> None:
        provenance = json.loads(Path(f"{self._out}.provenance.json").read_text(encoding="utf-8"))
        if provenance["model"]["sha256"] != predictor.model.sha256:
            self.wrong.append("the provenance names another model")
        with self._out.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if len({row["id"] for row in rows}) != len(rows):
            self.wrong.append("two rows have one id")
        for row in rows:
            if not row["error"]:
                self._check_row(row, predictor.model.sha256, since)

    def _check_row(self, row: dict[str, str], model: str, since: int) -> None:
        stamps = map(FileStamp.of_text, row["stamps"].split(";"))
        probabilities = np.array([row[label.hpa_name] for label in Label], np.float32)
        written = Prediction.from_probabilities(
            probabilities,
            id=row["id"],
            thresholds=np.ones(len(Label), np.float32),
            embedding=probabilities,
            white=probabilities,
            files=tuple(map(FileState, row["files"].split(";"), stamps)),
        )
        if (wrong := self._world.is_wrong(written, model=model, since=since)) is not None:
            self.wrong.append(f"in the output: {wrong}")
