"""Fields are predicted during an acquisition on simulated devices, which it neither holds up nor ends."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import useq
from pymmcore_plus.mda import mda_listeners_connected

from examples.micro_manager import FILTERS, plan, simulated_core
from hpa_sdk.errors import PlaneError, SettingError
from hpa_sdk.workstation.micro_manager import FieldHandler
from tests.hpa_sdk.workstation.micro_manager_place import (
    CHANNELS,
    Gate,
    Stubborn,
    Workplace,
    open_place,
    planes,
    run_and_cancel,
)

STACKED = plan(1, z_plan=useq.ZRangeAround(range=4, step=2)).replace(
    channels=tuple(useq.Channel(config=name, exposure=1, do_stack=name != "ER") for name in FILTERS)
)
"""Three z planes of each channel but the last, which has the one in the middle."""


@pytest.fixture
def make_place(tmp_path: Path) -> Iterator[Callable[..., Workplace]]:
    with ExitStack() as opened:
        yield lambda *text, **options: opened.enter_context(open_place(tmp_path, *text, **options))


@pytest.fixture
def place(make_place: Callable[..., Workplace]) -> Workplace:
    return make_place()


@pytest.mark.parametrize("order", ["tpcz", "tcpz"])
def test_each_position_and_time_is_answered_as_its_planes_are(place: Workplace, order: str) -> None:
    fields = planes(3)
    with place.handler() as (handler, results):
        simulated_core(fields).mda.run(
            plan(3, exposure=1, time_plan={"interval": 0, "loops": 2}, axis_order=order), output=[handler]
        )
    assert sorted(result.id for result in results) == [f"run/p00{p}_t00{t}" for p in range(3) for t in range(2)]
    wanted = place.expected(fields)
    for result in results:
        np.testing.assert_allclose(result.probabilities, wanted[int(result.id[7])], atol=1e-6)
        assert place.store.get(result.id) == result
        assert place.store.json_path(result.id).is_file()
    assert len(place.store.table.read_text(encoding="utf-8").splitlines()) == 7
    assert str(handler.report) == "6 of 6 planned fields answered, 0 failed"


@pytest.mark.parametrize(("rule", "chosen"), [('"max"', [0, 1, 2]), ('"middle"', [1]), ("1", [1])])
def test_z_goes_by_the_rule_of_the_station(make_place: Callable[..., Workplace], rule: str, chosen: list[int]) -> None:
    place = make_place(files=f"white = 4095\npixel_size = 0.32\nz = {rule}")
    stack = np.stack(planes(3))
    stack[:, 3] = stack[1, 3]
    with place.handler() as (handler, results):
        handler.plan(STACKED)
        for event in STACKED:
            channel = {"DAPI": 2, "protein": 1, "tubulin": 0, "ER": 3}[str(event.channel and event.channel.config)]
            handler.frameReady(stack[event.index["z"], channel], event, {})
    (result,) = results
    np.testing.assert_allclose(result.probabilities, place.expected([stack[chosen].max(0)])[0], atol=1e-6)


def test_fields_are_scaled_by_the_core_s_pixel_size(make_place: Callable[..., Workplace]) -> None:
    place = make_place("[trained]\npixel_size = 0.32\nside = 24", files="white = 4095")
    fields = planes(1)
    with place.handler() as (handler, results):
        simulated_core(fields, pixel_size=0.16).mda.run(plan(1, exposure=1), output=[handler])
    small = np.stack([cv2.resize(plane, (24, 24), interpolation=cv2.INTER_AREA) for plane in fields[0]])
    np.testing.assert_allclose(results[0].probabilities, place.expected([small])[0], atol=1e-6)
    assert handler.report.troubles == ()


def test_an_unknown_pixel_size_is_reported(
    make_place: Callable[..., Workplace], caplog: pytest.LogCaptureFixture
) -> None:
    place = make_place("[trained]\npixel_size = 0.32\nside = 24", files="white = 4095")
    with place.handler() as (handler, results):
        simulated_core(planes(2)).mda.run(plan(2, exposure=1), output=[handler])
    assert "does not know the size of a pixel (0.0)" in handler.report.troubles[0]
    assert len([record for record in caplog.records if record.message == handler.report.troubles[0]]) == 1
    assert all("the pixel size is unknown" in result.notes[0] for result in results)


def test_16_bits_without_a_white_level_are_refused(make_place: Callable[..., Workplace]) -> None:
    place = make_place(files="pixel_size = 0.32")
    with place.handler() as (handler, results):
        simulated_core(planes(1)).mda.run(plan(1, exposure=1), output=[handler])
    assert "which intensity is white" in str(results[0].error)


def test_wrong_channel_names_are_reported_before_and_after(place: Workplace) -> None:
    wrong = plan(2, exposure=1, channels=FILTERS[:3])
    with place.handler() as (handler, results):
        with pytest.raises(PlaneError, match=r"no channel is yellow .* there are 'DAPI' .*'protein' .*'tubulin'"):
            handler.check(wrong)
        simulated_core(planes(2)).mda.run(wrong, output=[handler])
    assert len(results) == 2
    assert all("no channel is yellow" in str(result.error) for result in results)


def test_a_missing_channel_is_allowed_and_a_fifth_is_ignored(make_place: Callable[..., Workplace]) -> None:
    channels = CHANNELS.replace("['ER']", "['reticulum']").replace("['DAPI']", "['dapi ']")
    place = make_place("[without]\nyellow = 'empty'", channels=channels)
    fields = planes(1)
    with place.handler() as (handler, results):
        simulated_core(fields).mda.run(plan(1, exposure=1), output=[handler])
    fields[0][3] = 0
    np.testing.assert_allclose(results[0].probabilities, place.expected(fields)[0], atol=1e-6)
    assert "yellow is missing" in results[0].notes[0]


def test_what_finds_no_place_is_dropped_early_and_counted(place: Workplace) -> None:
    gate = Gate()
    frames: list[weakref.ref[Any]] = []
    with place.handler(Stubborn(place.predictor, lambda _: gate.wait()), waiting=2) as (handler, results):
        core = simulated_core(planes(12))
        core.mda.events.frameReady.connect(lambda frame: frames.append(weakref.ref(frame)))
        core.mda.run(plan(12, exposure=1), output=[handler])
        alive = sum(frame() is not None for frame in frames)
        dropped = handler.report.dropped
        gate.open()
    assert dropped == 12 - 2
    # Four frames each of the two fields; the core keeps its last one.
    assert alive <= 4 * 2 + 1
    assert len(results) == 12
    assert sum("was dropped" in str(result.error) for result in results) == dropped
    assert f"{dropped} fields dropped" in str(handler.report)


def test_nothing_is_dropped_by_one_who_waits(place: Workplace) -> None:
    with place.handler(Stubborn(place.predictor, lambda _: time.sleep(0.02)), waiting=1, when_full="wait") as (
        handler,
        results,
    ):
        simulated_core(planes(12)).mda.run(plan(12, exposure=1), output=[handler])
    assert [result.error for result in results] == [None] * 12
    assert handler.report.dropped == 0


def test_frames_of_too_many_fields_are_not_kept(place: Workplace) -> None:
    with place.handler(incomplete=2) as (handler, results):
        simulated_core(planes(4)).mda.run(plan(4, exposure=1, axis_order="tcpz"), output=[handler])
    assert sum(result.error is not None for result in results) == 4 - 2
    assert len(handler.report.incomplete) == 2


def test_a_cancelled_acquisition_keeps_what_is_finished(place: Workplace) -> None:
    with place.handler(waiting=2000) as (handler, results):
        core = simulated_core(planes(4))
        long = plan(4, exposure=1, time_plan={"interval": 0, "loops": 500})
        run_and_cancel(core, long, handler, lambda: len(results) >= 3)
    report = handler.report
    assert 3 <= report.answered < 2000
    assert report.failed == len(report.incomplete) <= 1
    assert place.store.count() == len(results) == report.answered + report.failed


def test_unplanned_events_are_reported(place: Workplace) -> None:
    events = list(plan(1, exposure=1))
    with place.handler() as (handler, results):
        core = simulated_core(planes(1))
        core.mda.run(events, output=[handler])
        assert handler.report.unplanned_frames == 4
        assert "4 frames ignored" in str(handler.report)
        handler.plan(events)
        core.mda.run(events, output=[handler])
        core.mda.run(plan(1, exposure=1), output=[handler])
    assert [result.id for result in results] == ["run/p000", "run/p000-2"]


def test_a_direct_connection_blocks_and_does_not_fill_memory(place: Workplace) -> None:
    predictor = Stubborn(place.predictor, lambda _: time.sleep(0.05))
    with place.handler(predictor, waiting=1, when_full="wait") as (handler, results):
        core = simulated_core(planes(8))
        finished: list[int] = []
        core.mda.events.sequenceFinished.connect(lambda: finished.append(len(results)))
        with mda_listeners_connected(handler, mda_events=core.mda.events, asynchronous=False):
            core.mda.run(plan(8, exposure=1))
    assert finished[0] >= 8 - 2
    assert len(results) == 8


def test_what_is_planned_by_hand_and_by_the_run_is_planned_once(place: Workplace) -> None:
    sequence = plan(2, exposure=1)
    with place.handler() as (handler, results):
        core = simulated_core(planes(2))
        assert handler.plan(sequence) == handler.plan(sequence)
        core.mda.run(sequence, output=[handler])
        assert handler.report.planned == 2
        core.mda.run(sequence, output=[handler])
    assert str(handler.report) == "4 of 4 planned fields answered, 0 failed"
    assert [result.id for result in results] == ["run/p000", "run/p001", "run/p000-2", "run/p001-2"]


def test_the_white_percentile_ignores_the_border_of_frames(
    make_place: Callable[..., Workplace],
) -> None:
    place = make_place("[trained]\npixel_size = 0.32\nside = 96", files="white = 'percentile'\npixel_size = 0.32")
    fields = planes(1)
    with place.handler() as (handler, results):
        simulated_core(fields).mda.run(plan(1, exposure=1), output=[handler])
    levels = np.percentile(fields[0], 99.9, axis=(1, 2)).tolist()
    framed = np.pad(fields[0], ((0, 0), (24, 24), (24, 24)))
    (expected,) = place.predictor.predict_planes([framed], white=levels)
    np.testing.assert_allclose(results[0].probabilities, expected.probabilities, atol=1e-4)
    assert any(note.startswith("white is the 99.9th percentile") for note in results[0].notes)


def test_names_of_positions_are_in_the_ids(place: Workplace) -> None:
    grid = useq.MDASequence(grid_plan=useq.GridRowsColumns(rows=1, columns=2))
    where = useq.AbsolutePosition(x=0, y=0, name="A1/ö", sequence=grid)
    named = plan(1).replace(stage_positions=(where,))
    with place.handler() as (handler, _):
        assert list(handler.plan(named).values()) == ["run/A1_ö_g000_p000", "run/A1_ö_g001_p000"]
    with FieldHandler(place.station, place.predictor, place.store) as one:
        first = list(one.plan(named).values())
    with FieldHandler(place.station, place.predictor, place.store) as other:
        assert not set(first) & set(other.plan(named).values())


@pytest.mark.parametrize("options", [{"waiting": 0}, {"incomplete": 0}, {"timeout": 0}, {"when_full": "ask"}])
def test_settings_that_can_t_be_are_refused(place: Workplace, options: Any) -> None:
    with pytest.raises(SettingError, match=next(iter(options))):
        FieldHandler(place.station, place.predictor, place.store, **options)
