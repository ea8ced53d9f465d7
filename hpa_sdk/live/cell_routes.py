"""Adds the request for the cells of a field to the HTTP interface."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from fastapi import FastAPI, Query
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from hpa_sdk.errors import SampleError, TableError
from hpa_sdk.live.access_control import problem
from hpa_sdk.live.cell_records import FieldCellsRecord
from hpa_sdk.live.service import Service

_READ_AT_ONCE = 2  # the predictor needs the cores
_NO_LIMIT = 2**63 - 1


def add_cells(app: FastAPI, service: Service) -> None:
    """Add the request."""
    turn = asyncio.Semaphore(_READ_AT_ONCE)

    @app.get("/cells/{name:path}", response_model=FieldCellsRecord)
    async def cells(
        name: str,
        store: Annotated[str | None, Query(description="The store that the number is of.")] = None,
        number: Annotated[int | None, Query(ge=0, le=_NO_LIMIT)] = None,
    ) -> Response:
        """Return the cells of a result: outlines, labels and probabilities, in pixels of `whole` pictures."""
        try:
            async with turn:
                found = await run_in_threadpool(service.cells, name, store=store, number=number)
        except (SampleError, TableError) as error:
            return problem(404, error.what, error.remedy)
        content = msgspec.json.encode(found)
        return Response(content, media_type="application/json", headers={"Cache-Control": "no-store"})
