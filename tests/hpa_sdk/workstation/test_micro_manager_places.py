"""Frames of two positions, two depths or two pixel sizes are never one field, and none is lost without a count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import useq

from examples.micro_manager import FILTERS, SPACING, simulated_core
from hpa_sdk.errors import PlaneError
from hpa_sdk.results.result import Result
from hpa_sdk.workstation.micro_manager_follow import follow_up
from tests.hpa_sdk.workstation.micro_manager_place import Workplace, open_place, planes
from tests.hpa_sdk.workstation.test_micro_manager import STACKED

ROWS = {"tubulin": 0, "protein": 1, "DAPI": 2, "ER": 3}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    with open_place(tmp_path) as place:
        yield place


def events(*positions: dict[str, Any], **index: int) -> list[useq.MDAEvent]:
    """Events made by hand: each channel at one position after the other, all with the same indices."""
    return [
        useq.MDAEvent.model_validate({"index": {"c": at, **index}, "channel": name, **position})
        for at, name in enumerate(FILTERS)
        for position in positions
    ]


def row_of(event: useq.MDAEvent) -> int:
    return ROWS[str(event.channel and event.channel.config)]


@pytest.mark.parametrize("index", [{}, {"p": 0}])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x_pos": 0, "y_pos": 0}, {"x_pos": 0, "y_pos": 200.5}),
        ({"pos_name": "A1"}, {"pos_name": "A2"}),
        ({"pos_name": "A1", "x_pos": 0, "y_pos": 0}, {"pos_name": "A1", "x_pos": 1, "y_pos": 0}),
    ],
)
def test_positions_of_one_index_are_fields_of_their_own(
    place: Workplace, one: dict[str, Any], other: dict[str, Any], index: dict[str, int]
) -> None:
    taken = events(one, other, **index)
    fields = planes(2)
    with place.handler() as (handler, results):
        handler.check(taken)
        ids = handler.plan(taken)
        for event in taken:
            at = [one, other].index({key: getattr(event, key) for key in one})
            handler.frameReady(fields[at][row_of(event)], event, {})
    assert len(set(ids.values())) == 2
    assert handler.report.late_frames == 0
    found = {result.id: result.probabilities for result in results}
    assert set(found) == set(ids.values())
    for name, expected in zip(ids.values(), place.expected(fields), strict=True):
        np.testing.assert_allclose(found[name], expected, atol=1e-6)


def test_a_position_that_is_said_once_is_that_of_all(place: Workplace) -> None:
    first, *others = events({}, p=0)
    taken = [first.replace(x_pos=3.0, y_pos=4.0), *others]
    with place.handler() as (handler, results):
        handler.plan(taken)
        for event in taken:
            handler.frameReady(planes(1)[0][row_of(event)], event, {})
    assert [(result.id, result.error) for result in results] == [("run/p000", None)]


def test_an_event_that_fits_two_positions_is_refused(place: Workplace) -> None:
    taken = [*events({"x_pos": 0, "y_pos": 0}, {"x_pos": 9, "y_pos": 0}), *events({})]
    with place.handler() as (handler, _), pytest.raises(PlaneError, match=r"two positions.*index p"):
        handler.check(taken)


def test_a_later_plan_of_one_position_takes_its_frames(place: Workplace) -> None:
    two, one = events({"pos_name": "A1"}, {"pos_name": "A2"}), events({"pos_name": "A1"})
    fields = planes(3)
    with place.handler() as (handler, results):
        for taken, chosen in ((two, fields[:2]), (one, fields[2:])):
            handler.plan(taken)
            for event in taken:
                handler.frameReady(chosen[event.pos_name == "A2"][row_of(event)], event, {})
    assert len({result.id for result in results}) == 3
    np.testing.assert_allclose(results[2].probabilities, place.expected(fields)[2], atol=1e-6)
    assert handler.report.late_frames == 0


def test_a_position_without_an_index_is_visited_again(place: Workplace) -> None:
    fields = planes(2)
    taken = events({"x_pos": 0, "y_pos": 0}, {"x_pos": SPACING, "y_pos": 0})
    asked: dict[str, set[float | None]] = {}

    def decide(result: Result, own: list[useq.MDAEvent]) -> list[useq.MDAEvent]:
        asked[result.id] = {event.x_pos for event in own}
        return own

    with place.handler() as (handler, results):
        simulated_core(fields).mda.run(follow_up(handler, taken, decide), output=[handler])
    assert [result.error for result in results] == [None] * 4
    assert sorted(map(tuple, asked.values())) == [(0.0,), (SPACING,)]
    for at, result in enumerate(results):
        # Visited again in the order in which they were answered.
        first = results[at % 2]
        expected = place.expected(fields)[f"x{SPACING:g}_" in first.id]
        np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)


def test_frames_that_come_late_are_counted(place: Workplace) -> None:
    taken = events({}, p=0)
    with place.handler() as (handler, results):
        handler.plan(taken)
        for _ in range(2):
            for event in taken:
                handler.frameReady(planes(1)[0][row_of(event)], event, {})
        assert handler.report.late_frames == 4
        assert not handler.report.is_clean
        assert "4 frames came after their field was predicted or given up" in str(handler.report)
    assert len(results) == 1


def test_frames_of_a_fifth_channel_are_not_late(place: Workplace) -> None:
    fifth = useq.MDAEvent.model_validate({"index": {"c": 4, "p": 0}, "channel": "brightfield"})
    taken = [*events({}, p=0), fifth]
    with place.handler() as (handler, results):
        handler.plan(taken)
        for event in taken:
            at = 0 if event is fifth else row_of(event)
            handler.frameReady(planes(1)[0][at], event, {})
    assert handler.report.is_clean
    assert len(results) == 1


def test_frames_are_those_that_came_whatever_the_buffer_holds(place: Workplace) -> None:
    taken, fields = events({}, p=0), planes(1)
    buffer = np.zeros((48, 48), np.uint16)
    with place.handler() as (handler, results):
        handler.plan(taken)
        for event in taken:
            buffer[:] = fields[0][row_of(event)]
            handler.frameReady(buffer, event, {})
        buffer[:] = 0
    np.testing.assert_allclose(results[0].probabilities, place.expected(fields)[0], atol=1e-6)


def stacked(place: Workplace, fields: np.ndarray[Any, Any]) -> Any:
    with place.handler() as (handler, results):
        handler.plan(STACKED)
        for event in STACKED:
            handler.frameReady(fields[event.index["z"], row_of(event)], event, {})
    return results[0]


@pytest.mark.parametrize("rule", ["0", "2"])
def test_a_channel_of_one_z_is_joined_to_no_other_z(tmp_path: Path, rule: str) -> None:
    with open_place(tmp_path, files=f"white = 4095\npixel_size = 0.32\nz = {rule}") as place:
        with place.handler() as (handler, _), pytest.raises(PlaneError, match=r"'ER' is planned at z 1 only.*z "):
            handler.check(STACKED)
        result = stacked(place, np.stack(planes(3)))
    assert "'ER' is planned at z 1 only" in str(result.error)


@pytest.mark.parametrize(("rule", "chosen"), [('"middle"', [1]), ("1", [1]), ('"max"', [0, 1, 2])])
def test_a_channel_of_one_z_is_reported(tmp_path: Path, rule: str, chosen: list[int]) -> None:
    fields = np.stack(planes(3))
    with open_place(tmp_path, files=f"white = 4095\npixel_size = 0.32\nz = {rule}") as place:
        result = stacked(place, fields)
        fields[:, 3] = fields[1, 3]
        np.testing.assert_allclose(result.probabilities, place.expected([fields[chosen].max(0)])[0], atol=1e-6)
    assert "channel yellow has one plane, taken for every z" in result.notes


def test_channels_of_differing_depth_are_refused(place: Workplace) -> None:
    taken = [event for event in STACKED if not (row_of(event) == 0 and event.index["z"] == 2)]
    with place.handler() as (handler, _), pytest.raises(PlaneError, match="differing numbers of z planes"):
        handler.check(taken)


def test_depths_without_an_index_are_refused(place: Workplace) -> None:
    taken = [event.replace(z_pos=z) for z in (-2.0, 0.5) for event in events({}, p=0)]
    with place.handler() as (handler, results):
        with pytest.raises(PlaneError, match="'tubulin' is planned at 2 z positions without an index z"):
            handler.check(taken)
        handler.plan(taken)
        for event in taken:
            handler.frameReady(planes(1)[0][row_of(event)], event, {})
    assert "without an index z" in str(results[0].error)


def test_channels_with_a_z_offset_of_their_own_are_a_field(place: Workplace) -> None:
    taken = [event.replace(z_pos=0.3 * at) for at, event in enumerate(events({}, p=0))]
    with place.handler() as (handler, results):
        handler.plan(taken)
        for event in taken:
            handler.frameReady(planes(1)[0][row_of(event)], event, {})
    assert results[0].error is None


def test_frames_of_two_pixel_sizes_are_refused(tmp_path: Path) -> None:
    taken = events({}, p=0)
    with open_place(tmp_path, files="white = 4095") as place, place.handler() as (handler, results):
        handler.plan(taken)
        for at, event in enumerate(taken):
            handler.frameReady(planes(1)[0][row_of(event)], event, {"pixel_size_um": 0.1 if at < 3 else 0.2})
    assert "pixels of 0.1 um and of 0.2 um" in str(results[0].error)
