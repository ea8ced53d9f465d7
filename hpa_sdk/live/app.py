"""Assembles the page and the HTTP interface for programs, with a description of it at /openapi.json."""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, File, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from hpa_sdk import __version__
from hpa_sdk.errors import DeviceError, HpaError, OutputError, PlaneError, SampleError
from hpa_sdk.labels import MOST_LABELS
from hpa_sdk.live.access_control import STATIC, AccessControl, AccessRules, problem
from hpa_sdk.live.answered_files import ChangedError
from hpa_sdk.live.cell_routes import add_cells
from hpa_sdk.live.events import Stopping, follow
from hpa_sdk.live.pictures import View
from hpa_sdk.live.records import NumberedResult, Predicted, Problem, ResultPage, Status
from hpa_sdk.live.result_view import Row
from hpa_sdk.live.review_routes import add_reviews
from hpa_sdk.live.service import Service, no_such_result

_MOST_ROWS = 500
_NO_LIMIT = 2**63 - 1  # the largest number that SQLite takes
_EVENT = re.compile(r"([0-9a-f]{1,64})-([0-9]{1,18})(?:-([0-9]{1,18}))?")
_DRAWN_AT_ONCE = 2  # pictures; the predictor needs the cores
_SEGMENTED_AT_ONCE = 1  # fields that were sent, because whole fields need memory
_DESCRIPTION = (
    "Says in which of 28 organelles a protein sits. The same predictor, results and files as those of 'hpa watch'."
    " Where the server asks for a token, send it in the header Authorization: Bearer TOKEN."
)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description}
    for status, description in {
        400: "The request can't be read.",
        401: "A token is asked for.",
        403: "The request comes from another site, or by another name of this computer.",
        404: "There is no such result, or its picture can't be shown.",
        409: "The results are those of another store, or a field or its files changed since it was answered.",
        413: "The request is too large.",
        422: "The files are not those of a field that can be read, or a value is none.",
        503: "Busy, or a disk or the device fails; the header Retry-After says when to send the request again.",
    }.items()
}

Count = Annotated[int, Query(ge=1, le=_MOST_ROWS)]
Number = Annotated[int, Query(ge=0, le=_NO_LIMIT)]
Store = Annotated[str | None, Query(description="The store that the number is of, as results and status name it.")]


def make_app(service: Service, rules: AccessRules, stopping: Stopping) -> ASGIApp:
    """Create the application.

    Parameters
    ----------
    service : Service
        Handles the requests.
    rules : AccessRules
        Which requests are accepted.
    stopping : callable
        Returns whether the server is to end, so that open event streams end with it.
    """
    app = FastAPI(
        title="hpa-sdk live page",
        version=__version__,
        description=_DESCRIPTION,
        # The default documentation pages load scripts from other sites.
        docs_url=None,
        redoc_url=None,
        responses=_PROBLEMS,
    )
    _add_results(app, service)
    _add_pictures(app, service)
    add_cells(app, service)
    add_reviews(app, service)
    _add_page(app, service, stopping)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_exception_handler(HpaError, _error_response)
    app.add_exception_handler(HTTPException, _refusal_response)
    app.add_exception_handler(RequestValidationError, _invalid_response)
    return AccessControl(app, rules)


def _add_results(app: FastAPI, service: Service) -> None:
    turn = asyncio.Semaphore(_SEGMENTED_AT_ONCE)

    @app.post("/predict", response_model=Predicted)
    async def predict(files: Annotated[list[UploadFile], File()]) -> Response:
        """Predict one field: a stack, or its four planes named as the station names them, or <id>_red, _green, ..."""
        sent = [(file.filename or "", file.file) for file in files]
        received = await run_in_threadpool(service.receive, sent)
        try:
            answers = [await asyncio.wrap_future(service.submit(sample)) for sample in received.samples]
            async with turn:
                rows = await run_in_threadpool(service.finish, received, answers)
        except BaseException:
            service.give_up(received)
            raise
        return _json(b'{"results":[%b]}', rows)

    @app.get("/results", response_model=ResultPage)
    async def results(
        before: Number = _NO_LIMIT,
        store: Store = None,
        count: Count = 50,
        failed: bool | None = None,  # noqa: FBT001 - a parameter of the query
        label: Annotated[int | None, Query(ge=0, lt=MOST_LABELS)] = None,
        warned: bool | None = None,  # noqa: FBT001 - as above
        mixed: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> Response:
        """Return results, newest first: with a number below `before`, that failed or not, have a label, or warnings.

        With `mixed`, those in which only some of the cells show a label: that of `label`, or any.
        """
        service.check_store(store)
        if label is not None and label >= service.classes:
            raise HTTPException(422, f"the model answers with the labels 0 to {service.classes - 1}")
        rows = await run_in_threadpool(
            service.view.page, before=before, count=count, failed=failed, label=label, warned=warned, mixed=mixed
        )
        following = b"%d" % rows[-1].number if len(rows) == count else b"null"
        return _json(b'{"results":[%b],"next":' + following + b',"store":"' + service.view.store.encode() + b'"}', rows)

    @app.get("/results/{name:path}", response_model=NumberedResult)
    async def result(name: str) -> Response:
        """Return the result of an id."""
        row = await run_in_threadpool(service.view.get, name)
        if row is None:
            raise HTTPException(404, no_such_result(name).what)
        return _json(b"%b", [row])

    @app.get("/health")
    def health() -> Status:
        """Return the status: model, device, number of results and of each label, and current problems."""
        return service.status()


def _add_pictures(app: FastAPI, service: Service) -> None:
    turn = asyncio.Semaphore(_DRAWN_AT_ONCE)

    @app.get(
        "/pictures/{view}/{name:path}",
        response_class=Response,
        responses={200: {"content": {"image/png": {}}, "description": "A PNG, bright enough for the eye."}},
    )
    async def picture(
        view: View,
        name: str,
        side: Annotated[int, Query(ge=16, le=2048)] = 512,
        store: Store = None,
        number: Annotated[int | None, Query(ge=0, le=_NO_LIMIT)] = None,
        whole: bool = False,  # noqa: FBT001, FBT002 - a parameter of the query
    ) -> Response:
        """Draw the field of a result: its colour composite or one plane, as the model sees them.

        With `whole`, the field as it was read, in which the outlines of cells lie.
        """
        try:
            async with turn:
                png = await run_in_threadpool(
                    service.picture, name, view, side, store=store, number=number, whole=whole
                )
        except (SampleError, PlaneError) as error:
            raise HTTPException(404, error.what) from error
        # Only with both does a URL always mean the same result; an id gets a new result whenever it is answered again.
        lasting = store is not None and number is not None
        caching = "private, max-age=86400" if lasting else "no-store"
        return Response(png, media_type="image/png", headers={"Cache-Control": caching})


def _add_page(app: FastAPI, service: Service, stopping: Stopping) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    # An endless stream, so not in the description, which is of requests with one response.
    @app.get("/events", include_in_schema=False)
    async def events(
        request: Request, after: Number = 0, store: Store = None, reviews: Number | None = None
    ) -> StreamingResponse:
        here = store in {None, service.view.store}
        number, review = (after, reviews) if here else (0, reviews and 0)
        if last := request.headers.get("last-event-id"):
            event = _EVENT.fullmatch(last)
            # A number of another store has no meaning here: all results of this store are new to the client.
            known = event is not None and event[1] == service.view.store
            number = int(event[2]) if event and known else 0
            if review is not None:
                review = int(event[3] or 0) if event and known else 0
        stream = follow(service, number, stopping, reviews=review)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _json(form: bytes, rows: list[Row]) -> Response:
    content = form % b",".join(row.to_json() for row in rows)
    return Response(content, media_type="application/json", headers={"Cache-Control": "no-store"})


# Names of files without their folders: a client need not know where its fields are stored.


def _error_response(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HpaError):
        raise error
    status = 409 if isinstance(error, ChangedError) else 503 if isinstance(error, (DeviceError, OutputError)) else 422
    where = None if error.where is None else Path(error.where).name
    return JSONResponse(asdict(Problem(what=error.what, where=where, remedy=error.remedy)), status)


def _refusal_response(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    headers = None if error.headers is None else dict(error.headers)
    return problem(error.status_code, error.detail, "GET /openapi.json describes what can be asked for.", headers)


def _invalid_response(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    message = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return problem(422, message, "GET /openapi.json describes what can be asked for.")
