"""Adds the requests about reviews to the HTTP interface."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import FastAPI, Query
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from hpa_sdk.live.review_records import (
    FiguresPage,
    NumberedReview,
    OfferedPage,
    ReviewPage,
    ReviewRequest,
    WithdrawalRequest,
)
from hpa_sdk.live.service import Service
from hpa_sdk.review.log import Entry
from hpa_sdk.review.record import LONGEST_NAME

_MOST_ENTRIES = 500
_NO_LIMIT = 2**63 - 1


def add_reviews(app: FastAPI, service: Service) -> None:
    """Add the requests."""
    handler = service.reviews

    @app.post("/reviews", response_model=NumberedReview)
    async def review(asked: ReviewRequest) -> Response:
        """Store what a person says about a result. Sent again with the same id, it is stored once."""
        service.check_store(asked.store)
        return _json(entry_json(await run_in_threadpool(handler.add, asked), service.view.store))

    @app.post("/withdrawals", response_model=NumberedReview)
    async def withdraw(asked: WithdrawalRequest) -> Response:
        """Withdraw a review of the same person. It stays in the record, and does not count any more."""
        service.check_store(asked.store)
        return _json(entry_json(await run_in_threadpool(handler.withdraw, asked), service.view.store))

    @app.get("/reviews", response_model=ReviewPage)
    async def reviews(
        after: Annotated[int, Query(ge=0, le=_NO_LIMIT)] = 0,
        count: Annotated[int, Query(ge=1, le=_MOST_ENTRIES)] = 100,
        store: Annotated[str | None, Query(description="The store that the number is of.")] = None,
        field: Annotated[str | None, Query(description="The id of a field: reviews of it alone.")] = None,
    ) -> Response:
        """Return reviews and withdrawals, oldest first: those with a number above `after`, of one field or of all.

        Entries that are damaged in the ledger are listed in `damaged`. They do not count, but for withdrawals that
        still name their review.
        """
        service.check_store(store)
        page = await run_in_threadpool(handler.page, after, count, field)
        body = b",".join(entry_json(entry, service.view.store) for entry in page.entries)
        rest = {"damaged": page.damaged, "next": page.following, "store": service.view.store}
        return _json(b'{"reviews":[%b],%b' % (body, msgspec.json.encode(rest)[1:]))

    @app.get("/review-queue", response_model=OfferedPage)
    async def queue(
        reviewer: Annotated[str, Query(min_length=1, max_length=LONGEST_NAME)],
        count: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Response:
        """Return the fields that a person should review next, in order: every fifth is one of the random share."""
        offered = await run_in_threadpool(handler.offer, reviewer, count)
        rows = (
            b'{"result":%b,"reasons":%b,"random":%b}'
            % (row.to_json(), msgspec.json.encode(offer.reasons), msgspec.json.encode(offer.is_random))
            for offer, row in offered
        )
        return _json(b'{"fields":[%b],"store":"%b"}' % (b",".join(rows), service.view.store.encode()))

    @app.get("/review-figures")
    async def figures() -> FiguresPage:
        """Return how good each model is on the reviewed fields, and on those of the random share alone."""
        newest = await run_in_threadpool(handler.newest)
        return FiguresPage(models=await run_in_threadpool(handler.figures), newest=newest, store=service.view.store)


def entry_json(entry: Entry, store: str) -> bytes:
    """Write a review with its number as JSON."""
    return b'{"number":%d,"store":"%b",%b' % (entry.number, store.encode(), entry.review.to_json()[1:])


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json", headers={"Cache-Control": "no-store"})
