"""Chooses from the results of an acquisition what it takes next, and always lets it end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from queue import Empty, SimpleQueue

from useq import CustomAction, MDAEvent

from hpa_sdk.results.result import Result
from hpa_sdk.workstation.micro_manager import FieldHandler
from hpa_sdk.workstation.micro_manager_fields import field_key, position_key

Decide = Callable[[Result, list[MDAEvent]], Iterable[MDAEvent]]
"""Chooses the next events from a result and the events of its field."""

_POLL_SECONDS = 0.25  # seconds
_log = logging.getLogger("hpa_sdk")


def follow_up(
    handler: FieldHandler, events: Iterable[MDAEvent], decide: Decide, *, rounds: int = 1, timeout: float = 60.0
) -> Iterator[MDAEvent]:
    """Yield the events of an acquisition, and those that its results request: ``core.mda.run(follow_up(...), ...)``.

    Requested events are taken after the field that is being taken then, or at the end. While only answers are pending,
    an event without an image is yielded every quarter of a second, so that the acquisition can be cancelled or paused
    meanwhile.

    Parameters
    ----------
    handler : FieldHandler
        Also among the outputs of the run.
    events : iterable of useq.MDAEvent
        Events that are taken in any case; finite, because they are planned at once.
    decide : callable
        Called with the result of each field, also of a failed one, and its events; returns the events to take next, or
        none. They get a new time index, so that they are separate fields, and are taken without waiting for a time.
        Called in the thread of the acquisition, which waits for it. Its exceptions are logged.
    rounds : int
        Depth of the requests: with 1, the fields of `events` can request more, and the requested fields can't.
    timeout : float
        Seconds without any result after which the acquisition ends, even if results are pending.

    Yields
    ------
    useq.MDAEvent
    """
    first = list(events)
    follower = _Follower(handler, decide, rounds, 1 + max((event.index.get("t", 0) for event in first), default=0))
    # First, because a listener that raises keeps the result from those after it.
    handler.answered.connect(follower.answers.put, priority=1)
    try:
        follower.plan(first, 0)
        for _, field in groupby(first, field_key):
            while (chosen := follower.next_events(0)) is not None:
                yield from chosen
            yield from field
        last = time.monotonic()
        while follower.due and not handler.closed:
            chosen = follower.next_events(_POLL_SECONDS)
            if chosen is not None:
                yield from chosen
                last = time.monotonic()
            elif time.monotonic() - last > timeout:
                _log.warning("No result for %g s: the acquisition ends, with %d due.", timeout, len(follower.due))
                return
            else:
                yield MDAEvent(action=CustomAction(name="wait for predictions"))
    finally:
        handler.answered.disconnect(follower.answers.put)


class _Follower:
    def __init__(self, handler: FieldHandler, decide: Decide, rounds: int, time_index: int) -> None:
        self.answers: SimpleQueue[Result] = SimpleQueue()
        self.due: dict[str, tuple[list[MDAEvent], int]] = {}
        self._handler = handler
        self._decide = decide
        self._rounds = rounds
        self._time_index = time_index

    def plan(self, events: list[MDAEvent], number: int) -> None:
        """Expect the results of a round's fields."""
        ids = self._handler.plan(events)
        for event in events:
            if name := ids.get(position_key(event)) or ids.get(field_key(event)):
                self.due.setdefault(name, ([], number))[0].append(event)

    def next_events(self, seconds: float) -> list[MDAEvent] | None:
        """Return the events that the next result requests; None if no result arrives in time."""
        try:
            result = self.answers.get(timeout=seconds) if seconds else self.answers.get_nowait()
        except Empty:
            return None
        events, number = self.due.pop(result.id, ([], self._rounds))
        if number >= self._rounds:
            return []
        try:
            chosen = [self._at_new_time(event) for event in self._decide(result, events)]
        except Exception:  # noqa: BLE001 - logged; the rest of the acquisition is worth more than one follow-up
            _log.exception("What to take after %s could not be decided.", result.id)
            return []
        self._time_index += 1
        self.plan(chosen, number + 1)
        return chosen

    def _at_new_time(self, event: MDAEvent) -> MDAEvent:
        index = {**event.index, "t": self._time_index}
        return event.replace(index=index, min_start_time=None, reset_event_timer=False)
