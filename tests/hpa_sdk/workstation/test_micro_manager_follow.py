"""Answers decide what is acquired next, and the acquisition ends even if answers fail."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import useq

from examples.micro_manager import FILTERS, SPACING, main, plan, simulated_core
from hpa_sdk import Label
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import LEDGER
from hpa_sdk.workstation import micro_manager_follow
from hpa_sdk.workstation.micro_manager_follow import follow_up
from hpa_sdk.workstation.station_setup import open_store
from tests.conftest import ROOT
from tests.hpa_sdk.workstation.micro_manager_place import (
    Gate,
    Stubborn,
    Workplace,
    open_place,
    planes,
    run_and_cancel,
)
from tests.hpa_sdk.workstation.watching import wait_until
from tests.small import make_field

Events = list[useq.MDAEvent]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    with open_place(tmp_path) as place:
        yield place


def again(_: Result, events: Events) -> Events:
    return events


def test_fields_that_show_a_label_are_visited_again(place: Workplace) -> None:
    fields = planes(8)
    labels = [prediction.labels for prediction in place.predictor.predict_planes(fields)]
    label = next(label for label in Label if 0 < sum(label in found for found in labels) < len(fields))
    wanted = [at for at, found in enumerate(labels) if label in found]

    def decide(result: Result, events: Events) -> Events:
        return [event.replace(exposure=2) for event in events] if label in result.indices else []

    taken: Events = []
    with place.handler() as (handler, results):
        core = simulated_core(fields)
        core.mda.events.frameReady.connect(lambda _, event: taken.append(event))
        core.mda.run(follow_up(handler, plan(8, exposure=1), decide), output=[handler])
    assert len(results) == 8 + len(wanted)
    assert all(result.error is None for result in results)
    first = {result.id: result for result in results if "_t" not in result.id}
    second = [result for result in results if "_t" in result.id]
    assert sorted(int(result.id[5:8]) for result in second) == wanted
    for result in second:
        assert result.probabilities == first[result.id[:8]].probabilities
    assert sum(event.exposure == 2 for event in taken) == len(FILTERS) * len(wanted)
    times = [event.index["t"] for event in taken if "t" in event.index]
    assert len(set(times)) == len(wanted)


def test_a_field_is_followed_before_the_rest_is_taken(place: Workplace) -> None:
    taken: list[int] = []
    with place.handler() as (handler, results):

        def take(_: object, event: useq.MDAEvent) -> None:
            taken.append(event.index["p"])
            # At each first visit, all fields before are answered: what they ask for can be next.
            if "t" not in event.index:
                wait_until(lambda: sum("_t" not in result.id for result in results) >= event.index["p"])

        core = simulated_core(planes(6))
        core.mda.events.frameReady.connect(take)
        core.mda.run(follow_up(handler, plan(6, exposure=1), again), output=[handler])
    assert sorted(taken) == sorted([*range(6)] * 8)
    assert taken.index(5) >= 5 * 4 + 4 * 4


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_it_goes_as_far_as_it_may(place: Workplace, rounds: int) -> None:
    with place.handler() as (handler, results):
        simulated_core(planes(2)).mda.run(
            follow_up(handler, plan(2, exposure=1, time_plan={"interval": 0.01, "loops": 2}), again, rounds=rounds),
            output=[handler],
        )
    assert len(results) == len({result.id for result in results}) == 4 * (1 + rounds)


@pytest.mark.parametrize("problem", ["fail", "are dropped"])
def test_it_ends_when_predictions_fail_or_are_dropped(place: Workplace, problem: str) -> None:
    def before(_: str) -> None:
        if problem == "fail":
            raise ZeroDivisionError
        wait_until(lambda: handler.report.dropped)

    with place.handler(Stubborn(place.predictor, before), waiting=1) as (handler, results):
        simulated_core(planes(6)).mda.run(follow_up(handler, plan(6, exposure=1), again), output=[handler])
    assert len(results) == 12
    assert handler.report.failed > 0
    assert problem == "fail" or handler.report.dropped > 0


def test_it_ends_when_answers_are_lost(place: Workplace) -> None:
    gate = Gate()
    with place.handler(Stubborn(place.predictor, lambda _: gate.wait()), timeout=0.1) as (handler, results):
        simulated_core(planes(2)).mda.run(follow_up(handler, plan(2, exposure=1), again, timeout=0.5), output=[handler])
        assert results == []
    assert not gate.passed
    gate.open()
    assert len(results) == 2


def test_it_ends_when_the_handler_sees_no_frame(place: Workplace) -> None:
    with place.handler() as (handler, results):
        core = simulated_core(planes(2))
        core.mda.run(follow_up(handler, plan(2, exposure=1), again, timeout=0.3))
        handler.close()
        core.mda.run(follow_up(handler, plan(2, exposure=1), again, timeout=60), output=[handler])
    assert results == []


def test_it_ends_when_the_camera_fails_at_a_field(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    core = simulated_core(planes(3))
    snap = core.snapImage

    def fail_once() -> None:
        if core.getXPosition() == SPACING and core.getStateLabel("Filter") == "ER":
            raise RuntimeError("camera timeout")
        snap()

    def good() -> int:
        return sum(result.error is None for result in results)

    passed = itertools.count(step=30)
    # Time flies once there is nothing more to come.
    clock = SimpleNamespace(monotonic=lambda: next(passed) if good() == 4 else 0)
    monkeypatch.setattr(micro_manager_follow, "time", clock)
    monkeypatch.setattr(core, "snapImage", fail_once)
    with place.handler() as (handler, results):
        core.mda.run(follow_up(handler, plan(3, exposure=1), again, timeout=60), output=[handler])
    assert good() == 4
    assert handler.report.incomplete == {"run/p001": ("yellow ('ER')",)}


@pytest.mark.parametrize("problem", ["raise", "what is no event"])
def test_a_decision_that_fails_costs_its_own_visit(
    place: Workplace, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    def decide(result: Result, events: Events) -> Any:
        if result.id == "run/p001":
            return events if problem == "raise" and 1 // 0 else ["what is no event"]
        return events

    with place.handler() as (handler, results):
        handler.answered.connect(lambda _: 1 // 0)
        simulated_core(planes(3)).mda.run(follow_up(handler, plan(3, exposure=1), decide), output=[handler])
    assert len(results) == 5
    assert "What to take after run/p001 could not be decided" in caplog.text


def test_it_can_be_cancelled_while_it_waits(place: Workplace) -> None:
    gate = Gate()
    asked: list[str] = []

    def hang(name: str) -> None:
        asked.append(name)
        gate.wait()

    with place.handler(Stubborn(place.predictor, hang), timeout=0.1) as (handler, results):
        core = simulated_core(planes(1))
        run_and_cancel(core, follow_up(handler, plan(1, exposure=1), again), handler, lambda: bool(asked))
    assert not gate.passed
    gate.open()
    assert len(results) == 1


def test_every_snippet_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "micro-manager.md").read_text(encoding="utf-8")
    snippets = re.findall(r"^```python\n(.+?)^```", page, flags=re.MULTILINE | re.DOTALL)
    with open_place(tmp_path, "ledger = 'mine.sqlite'") as place:
        known: dict[str, Any] = {"core": simulated_core(planes(3)), "sequence": plan(3, exposure=1)}
    monkeypatch.chdir(tmp_path)
    for snippet in snippets:
        exec(snippet, known)  # noqa: S102 - our own page
    assert len(snippets) == 5
    assert "3 of 3 planned fields answered, 0 failed" in capsys.readouterr().out
    assert not (place.station.output / LEDGER).exists()
    with open_store(place.station) as store:
        assert store.count() >= 9
        assert store.count(failed=True) == 0


def test_the_example_visits_spindles_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_place(tmp_path, "threshold = 0\nledger = 'mine.sqlite'") as place:
        rng = np.random.default_rng(0)
        for number in range(2):
            make_field(tmp_path / "fields", f"field-{number}", rng)
    monkeypatch.setattr("sys.argv", ["micro_manager.py", str(tmp_path / "station.toml"), str(tmp_path / "fields")])
    main()
    assert "4 of 4 planned fields answered, 0 failed" in capsys.readouterr().out
    assert not (place.station.output / LEDGER).exists()
    with open_store(place.station) as store:
        assert store.count() == 4
