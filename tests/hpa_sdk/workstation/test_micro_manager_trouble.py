"""An error in an acquisition costs one field, is reported, and neither ends nor blocks the acquisition."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import useq

from examples.micro_manager import plan, simulated_core
from hpa_sdk.workstation.micro_manager import FieldHandler
from tests.hpa_sdk.workstation.micro_manager_place import Gate, Stubborn, Workplace, open_place, planes
from tests.hpa_sdk.workstation.watching import wait_until


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    with open_place(tmp_path) as place:
        yield place


class Spoiling:
    """Hands on frames but for what it spoils."""

    def __init__(self, handler: FieldHandler, spoil: Callable[[Any, useq.MDAEvent], Any]) -> None:
        self._spoil = spoil
        self._handler = handler
        self.sequenceStarted = handler.sequenceStarted
        self.sequenceFinished = handler.sequenceFinished

    def frameReady(self, frame: Any, event: useq.MDAEvent, metadata: Any) -> None:  # noqa: N802
        spoilt = self._spoil(frame, event) if event.index["p"] == 1 else frame
        if spoilt is not None:
            self._handler.frameReady(spoilt, event, metadata)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda frame, event: frame if event.index["c"] else None, r"frames are missing: blue \('DAPI'\)"),
        (lambda frame, event: frame[event.index["c"] :], "48x48 uint16 and 48x47 uint16"),
        (lambda frame, _: frame.astype(np.float32), "float32, not of 8 or 16 bits"),
        (lambda frame, _: np.stack([frame] * 3, -1), r"shape \(48, 48, 3\)"),
        (lambda frame, _: frame[:5], "48x5 pixels"),
    ],
)
def test_a_bad_field_is_reported_and_affects_no_other(
    place: Workplace, spoil: Callable[..., Any], message: str
) -> None:
    fields = planes(3)
    with place.handler() as (handler, received):
        spoiling = Spoiling(handler, spoil)
        simulated_core(fields).mda.run(plan(3, exposure=1), output=[spoiling])
    results = {result.id: result for result in received}
    assert re.search(message, str(results["run/p001"].error))
    for at in (0, 2):
        np.testing.assert_allclose(results[f"run/p00{at}"].probabilities, place.expected(fields)[at], atol=1e-6)
    assert (handler.report.answered, handler.report.failed) == (2, 1)
    if "missing" in message:
        assert handler.report.incomplete == {"run/p001": ("blue ('DAPI')",)}
        assert "run/p001: no complete blue ('DAPI')" in str(handler.report)
    else:
        assert not handler.report.incomplete


def test_two_cameras_are_refused(place: Workplace) -> None:
    with place.handler() as (handler, results):
        handler.plan(plan(1, exposure=1))
        for event in plan(1, exposure=1):
            for _ in range(2):
                handler.frameReady(planes(1)[0][0], event, {"pixel_size_um": 0.32})
    assert "more frames than planned" in str(results[0].error)


def test_a_predictor_that_raises_costs_its_field_alone(place: Workplace) -> None:
    def fail(name: str) -> None:
        if name == "run/p001":
            raise ZeroDivisionError("bad luck")

    with place.handler(Stubborn(place.predictor, fail)) as (handler, results):
        simulated_core(planes(3)).mda.run(plan(3, exposure=1), output=[handler])
    assert [result.error is None for result in results] == [True, False, True]
    assert "ZeroDivisionError('bad luck')" in str(results[1].error)
    assert place.store.count() == 3
    assert place.store.count(failed=True) == 1


@pytest.mark.parametrize("when_full", ["wait", "drop"])
def test_a_predictor_that_hangs_holds_nobody_up_for_long(place: Workplace, when_full: str) -> None:
    gate = Gate()

    def hang(name: str) -> None:
        if name.endswith("1"):
            gate.wait()

    predictor = Stubborn(place.predictor, hang)
    with place.handler(predictor, timeout=0.3, waiting=1, when_full=when_full) as (handler, received):

        def wait_for_the_first(_: object, event: useq.MDAEvent) -> None:
            if event.index["p"] == 1:
                wait_until(lambda: received)

        core = simulated_core(planes(6))
        core.mda.events.frameReady.connect(wait_for_the_first)
        core.mda.run(plan(6, exposure=20), output=[handler])
    assert not gate.passed
    gate.open()
    results = {result.id: result for result in received}
    assert len(results) == len(received) == 6
    assert results["run/p000"].error is None
    assert "gave no answer for 0.3 s" in str(results["run/p001"].error)
    reason = "gave no answer for 0.3 s" if when_full == "wait" else "was dropped"
    assert all(reason in str(results[f"run/p00{at}"].error) for at in range(2, 6))
    assert handler.report.failed == 5


def test_another_handler_s_frames_are_not_affected(place: Workplace) -> None:
    class Counting:
        frames = 0

        def frameReady(self) -> None:  # noqa: N802
            self.frames += 1

    with place.handler() as (handler, results):
        handler.answered.connect(lambda _: 1 // 0)
        counting = Counting()
        place.store.close()
        broken = Spoiling(handler, lambda *_: "no array")
        simulated_core(planes(2)).mda.run(plan(2, exposure=1), output=[broken, counting])
    assert counting.frames == 8
    assert [result.id for result in results] == ["run/p000", "run/p001"]
    troubles = "; ".join(handler.report.troubles)
    for trouble in ("a frame was lost", "the ledger can't be used", "ZeroDivisionError"):
        assert trouble in troubles


def test_a_disk_that_is_full_for_a_while_costs_no_result(place: Workplace) -> None:
    with place.handler(waiting=12) as (handler, results):
        core = simulated_core(planes(12))
        # SQLite's own word for a full disk, at the size that the ledger has.
        pages = place.store.ledger.rows("PRAGMA page_count")[0][0]
        place.store.ledger.rows(f"PRAGMA max_page_count = {pages}")
        core.mda.run(plan(12, exposure=1), output=[handler])
        wait_until(lambda: len(results) == 12)
        assert handler.report.unsaved == 12 - place.store.count() > 0
        place.store.ledger.rows("PRAGMA max_page_count = 100000")
    assert place.store.count() == 12
    assert all(place.store.json_path(result.id).is_file() for result in results)
    assert handler.report.unsaved == 0
    (trouble,) = handler.report.troubles
    assert trouble.startswith(f"results can't be saved: {place.store.ledger.path}: the ledger can't be used")
    assert "full" in trouble


def test_files_that_could_not_be_written_are_written_at_the_end(place: Workplace) -> None:
    in_the_way = place.station.output / "run"
    in_the_way.write_text("in the way", encoding="utf-8")
    with place.handler() as (handler, results):
        simulated_core(planes(2)).mda.run(plan(2, exposure=1), output=[handler])
        wait_until(lambda: len(results) == 2)
        in_the_way.unlink()
    assert sorted(path.name for path in in_the_way.iterdir()) == ["p000.json", "p001.json"]


@pytest.mark.parametrize("step", ["add", "publish"])
def test_listeners_are_informed_even_if_the_store_fails(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.ProgrammingError("out of the blue")

    monkeypatch.setattr(place.store, step, fail)
    with place.handler() as (handler, results):
        simulated_core(planes(2)).mda.run(plan(2, exposure=1), output=[handler])
    assert [result.error for result in results] == [None, None]
    assert handler.report.unsaved == (2 if step == "add" else 0)
    assert "results can't be saved: ProgrammingError('out of the blue')" in handler.report.troubles
    assert ("2 results are not saved" in str(handler.report)) == (step == "add")
