"""Sends new results and the status to open pages as server-sent events, which resume after a server restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool

from hpa_sdk.errors import OutputError
from hpa_sdk.live.result_view import Row
from hpa_sdk.live.review_routes import entry_json
from hpa_sdk.live.service import Service
from hpa_sdk.review.log import LogPage

SECONDS_A_LOOK = 0.2
"""Seconds between two checks for new results."""

Stopping = Callable[[], bool]
"""Returns whether the server is to end."""

_ROWS_A_LOOK = 100
_LOOKS_A_STATUS = 5
_LOOKS_A_SIGN = 75  # a keep-alive message, which reveals a dead connection


async def follow(
    service: Service, number: int, stopping: Stopping, *, reviews: int | None = None
) -> AsyncIterator[bytes]:
    """Yield events without end: the status, each result after a number, and the status again whenever it changed.

    The id of an event is the store and the numbers of the last result and the last review. A browser that reconnects
    sends the last id, so that this server, or the next, resumes there. The status comes first: it names the store of
    all that follows.

    Parameters
    ----------
    service : Service
        Provides the results.
    number : int
        The last number that the client has.
    stopping : callable
        Ends the events.
    reviews : int, optional
        The last number of a review that the client has. Default: it wants no reviews.

    Yields
    ------
    bytes
        ``event: result``, ``event: review`` or ``event: status``, with JSON as data.
    """
    yield b"retry: 1000\n\n"
    known: dict[str, Any] = {}
    store = service.view.store
    look = 0
    while not stopping():
        if look % _LOOKS_A_STATUS == 0:
            status = asdict(await run_in_threadpool(service.status))
            if status != known:
                known = status
                yield b"event: status\ndata: %b\n\n" % msgspec.json.encode(status)
        rows = await run_in_threadpool(_new_rows, service, number)
        for row in rows:
            number = row.number
            yield b"event: result\nid: %b\ndata: %b\n\n" % (_id(store, number, reviews), row.to_json())
        if reviews is not None:
            page = await run_in_threadpool(_new_reviews, service, reviews)
            for entry in page.entries:
                reviews = entry.number
                data = entry_json(entry, store)
                yield b"event: review\nid: %b\ndata: %b\n\n" % (_id(store, number, reviews), data)
            reviews = max([reviews, *(entry.number for entry in page.damaged)])
        if look % _LOOKS_A_SIGN == 0:
            yield b": all is well\n\n"
        look += 1
        await asyncio.sleep(SECONDS_A_LOOK)


def _id(store: str, number: int, reviews: int | None) -> bytes:
    return (f"{store}-{number}" if reviews is None else f"{store}-{number}-{reviews}").encode()


def _new_reviews(service: Service, number: int) -> LogPage:
    try:
        return service.reviews.page(number, _ROWS_A_LOOK)
    except OutputError:  # the status reports it
        return LogPage([], [], None)


def _new_rows(service: Service, number: int) -> list[Row]:
    try:
        return service.view.after(number, _ROWS_A_LOOK)
    except OutputError:  # the status reports it
        return []
