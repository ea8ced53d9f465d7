"""Chooses from the results of an acquisition what it takes next, and always lets it end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from queue import Empty, SimpleQueue

from useq import Action, CustomAction, HardwareAutofocus, MDAEvent

from hpa_sdk.results.result import Result
from hpa_sdk.workstation.micro_manager import FieldHandler
from hpa_sdk.workstation.micro_manager_fields import field_key, position_key

Decide = Callable[[Result, list[MDAEvent]], Iterable[MDAEvent]]
"""Chooses the next events from a result and the events of its field."""

_POLL_SECONDS = 0.25  # seconds
_AUTOFOCUS = HardwareAutofocus()
_log = logging.getLogger("hpa_sdk")


def is_out_of_focus(result: Result) -> bool:
    """Return whether a result has a warning of its focus."""
    return any(flag.partition(" ")[0] == "focus" for flag in result.flags)


def follow_up(
    handler: FieldHandler,
    events: Iterable[MDAEvent],
    decide: Decide = lambda *_: (),
    *,
    rounds: int = 1,
    timeout: float = 60.0,
    retakes: int = 0,
    retake_if: Callable[[Result], bool] = is_out_of_focus,
    focus: Action | None = _AUTOFOCUS,
) -> Iterator[MDAEvent]:
    """Yield the events of an acquisition, and those that its results request: ``core.mda.run(follow_up(...), ...)``.

    A field can also be focused and taken again. Each try is a field of its own: it has an id and a result.

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
        Called with the result of each field, also of a failed one, and its events; not if the field is taken again. It
        returns the events to take next, or none. They get a new time index, so that they are separate fields, and are
        taken without waiting for a time. Called in the thread of the acquisition, which waits for it. Its exceptions
        are logged.
    rounds : int
        Depth of the requests: with 1, the fields of `events` can request more, and the requested fields can't.
    timeout : float
        Seconds without any result after which the acquisition ends, even if results are pending.
    retakes : int
        How often a field is focused and taken again at most.
    retake_if : callable
        Says of a result whether its field is to be taken again. Default: if its focus has a warning.
    focus : useq.Action or None
        The action that focuses, at the position of the field and the middle of its z planes, before the field is taken
        again. Default: the autofocus device of the core. None: the field is taken again as it is.

    Yields
    ------
    useq.MDAEvent
    """
    first = list(events)
    retake = _Retake(retakes, retake_if, focus)
    start = 1 + max((event.index.get("t", 0) for event in first), default=0)
    follower = _Follower(handler, decide, rounds, retake, start)
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


@dataclass(frozen=True, slots=True)
class _Retake:
    """When a field is taken again, and how it is focused before."""

    most: int
    wanted: Callable[[Result], bool]
    focus: Action | None

    def focusing(self, events: list[MDAEvent]) -> list[MDAEvent]:
        middle = events[len(events) // 2]
        return [] if self.focus is None else [middle.replace(action=self.focus, channel=None, exposure=None)]


@dataclass(slots=True)
class _Due:
    """The field of a pending result: its events, the round that requested it, and how often it was taken before."""

    number: int
    tries: int = 0
    events: list[MDAEvent] = field(default_factory=list)


class _Follower:
    def __init__(self, handler: FieldHandler, decide: Decide, rounds: int, retake: _Retake, time_index: int) -> None:
        self.answers: SimpleQueue[Result] = SimpleQueue()
        self.due: dict[str, _Due] = {}
        self._handler = handler
        self._decide = decide
        self._rounds = rounds
        self._retake = retake
        self._time_index = time_index

    def plan(self, events: list[MDAEvent], number: int, tries: int = 0) -> None:
        """Expect the results of a round's fields."""
        ids = self._handler.plan(events)
        for event in events:
            if name := ids.get(position_key(event)) or ids.get(field_key(event)):
                self.due.setdefault(name, _Due(number, tries)).events.append(event)

    def next_events(self, seconds: float) -> list[MDAEvent] | None:
        """Return the events that the next result requests; None if no result arrives in time."""
        try:
            result = self.answers.get(timeout=seconds) if seconds else self.answers.get_nowait()
        except Empty:
            return None
        due = self.due.pop(result.id, None)
        if due is None:
            return []
        try:
            again = due.tries < self._retake.most and self._retake.wanted(result)
            if not again and due.number >= self._rounds:
                return []
            chosen = due.events if again else list(self._decide(result, due.events))
            before = self._retake.focusing(due.events) if again else []
            before, chosen = ([self._at_new_time(event) for event in events] for events in (before, chosen))
        except Exception:  # noqa: BLE001 - logged; the rest of the acquisition is worth more than one follow-up
            _log.exception("What to take after %s could not be decided.", result.id)
            return []
        self._time_index += 1
        if again:
            _log.warning("%s is taken again (%d of %d).", result.id, due.tries + 1, self._retake.most)
            self.plan(chosen, due.number, due.tries + 1)
        else:
            self.plan(chosen, due.number + 1)
        return [*before, *chosen]

    def _at_new_time(self, event: MDAEvent) -> MDAEvent:
        index = {**event.index, "t": self._time_index}
        return event.replace(index=index, min_start_time=None, reset_event_timer=False)
