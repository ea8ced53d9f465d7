"""A field with a warning is focused and taken again, a few times at most, and every try has its result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from pymmcore_plus.experimental.unicore import UniMMCore
from useq import MDAEvent

from examples.micro_manager import plan, simulated_core
from hpa_sdk.preprocessing import Planes
from hpa_sdk.quality.limits import LEAST_FIELDS, Limits, defaults
from hpa_sdk.quality.measures import measure
from hpa_sdk.quality.reference import Reference
from hpa_sdk.results.result import Result
from hpa_sdk.workstation.micro_manager_follow import follow_up
from tests.hpa_sdk.quality.drawn import draw_field
from tests.hpa_sdk.workstation.micro_manager_place import Workplace, open_place

SHARP, OTHER = (draw_field(seed).astype(np.uint16) * 16 for seed in (1, 2))
TEXT = "The field is out of focus."


def blurred(planes: Planes) -> Planes:
    return np.stack([cv2.GaussianBlur(plane, (0, 0), 4.0) for plane in planes])


def focus_of(planes: Planes) -> float:
    channels = ("red", "green", "blue", "yellow")
    return measure(planes, channels, defaults().weights, np.full(4, 4095, np.float32)).values["focus"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    limit = (focus_of(SHARP) + focus_of(blurred(SHARP))) / 2
    limits = Limits(data="drawn", fields=LEAST_FIELDS, low={"focus": limit})
    with open_place(tmp_path, reference=Reference(data="drawn", fields=LEAST_FIELDS, limits=limits)) as place:
        yield place


def focusing_core(
    fields: list[Planes], sharp_after: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[UniMMCore, list[float]]:
    """A core whose first field is blurred until it was focused a few times, and the positions where it focused."""
    shown = [blurred(fields[0]), *fields[1:]]
    focused: list[float] = []
    core = simulated_core(shown)

    def focus() -> None:
        focused.append(core.getXPosition())
        if len(focused) == sharp_after:
            shown[0] = fields[0]

    for name, call in {
        "fullFocus": focus,
        "getAutoFocusDevice": lambda: "focus",
        "enableContinuousFocus": lambda _: None,
        "getZPosition": lambda: 0.0,
    }.items():
        monkeypatch.setattr(core, name, call)
    return core, focused


@pytest.mark.parametrize(("sharp_after", "tries"), [(1, 2), (2, 3), (99, 3)])
def test_it_is_focused_and_taken_again(
    place: Workplace, sharp_after: int, tries: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    core, focused = focusing_core([SHARP, OTHER], sharp_after, monkeypatch)
    warned: list[Result] = []
    asked: list[str] = []

    def decide(result: Result, _: object) -> list[MDAEvent]:
        asked.append(result.id)
        return []

    with place.handler() as (handler, results):
        handler.warned.connect(warned.append)
        events = follow_up(handler, plan(2, exposure=1), decide, retakes=2)
        core.mda.run(events, output=[handler])
    of_first = [result for result in results if result.id.startswith("run/p000")]
    assert len({result.id for result in of_first}) == len(of_first) == tries
    assert len(results) == tries + 1
    assert focused == [0.0] * (tries - 1)
    sharp = sharp_after < tries
    assert [TEXT in result.warnings for result in of_first] == [True] * (tries - sharp) + [False] * sharp
    assert [result.flags for result in warned] == [("focus",)] * (tries - sharp)
    assert handler.report.warned == len(warned)
    assert caplog.text.count(TEXT) == len(warned)
    # The caller decides on the last try only.
    assert sorted(asked) == sorted({of_first[-1].id, "run/p001"})
    assert place.store.count() == len(results)


def test_without_retakes_it_is_taken_once(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    core, focused = focusing_core([SHARP], 1, monkeypatch)
    with place.handler() as (handler, results):
        handler.warned.connect(lambda _: 1 // 0)
        core.mda.run(follow_up(handler, plan(1, exposure=1)), output=[handler])
    assert [result.warnings for result in results] == [(TEXT,)]
    assert focused == []
    assert "a listener of a warning failed" in handler.report.troubles[0]


def test_it_can_be_taken_again_for_another_reason(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    core, focused = focusing_core([SHARP], 1, monkeypatch)
    with place.handler() as (handler, results):
        events = follow_up(handler, plan(1, exposure=1), retakes=3, retake_if=lambda _: True, focus=None)
        core.mda.run(events, output=[handler])
    assert (len(results), focused) == (4, [])
