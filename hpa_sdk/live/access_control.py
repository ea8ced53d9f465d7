"""Access control: refuses requests of unknown clients, and limits the size and the number of requests."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hpa_sdk.live.records import Problem

STATIC = Path(__file__).parent / "static"
"""The files of the page: the only ones that are served unchanged."""

MOST_AT_ONCE = 32
"""Maximum number of parallel requests with fields; one more is asked to retry."""

RETRY_SECONDS = 2
_FIELDS_PATH = "/predict"  # the only one that takes files
_LARGEST_RECORD = 2**16  # bytes of any other request
_LONGEST_NUMBER = 18  # digits
_BODY_TIMEOUT = 30.0  # seconds for the next piece of a body

_HEADERS = {
    b"content-security-policy": b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    b" connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """Which requests are accepted.

    Attributes
    ----------
    hosts : frozenset of str or None
        The host names that browsers may use for this computer, which prevents DNS rebinding; None for any, if a token
        is required.
    token : str or None
        The token that every client needs.
    largest_body : int
        Bytes of a request.
    """

    hosts: frozenset[str] | None
    token: str | None
    largest_body: int


class AccessControl:
    """Wraps an application; every request and every response passes through it."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules
        self._in_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        refusal = self._foreign_request(request) or self._without_token(request) or self._too_large(request)
        counted = scope["method"] == "POST" and refusal is None
        if counted and self._in_work >= MOST_AT_ONCE:
            refusal, counted = _busy(), False
        self._in_work += counted
        try:
            if refusal is not None:
                await refusal(scope, receive, _with_headers(send, scope["path"]))
            else:
                receive = _bounded(receive, self._limit(request))
                await self._app(scope, receive, _with_headers(send, scope["path"]))
        finally:
            self._in_work -= counted

    def _foreign_request(self, request: HTTPConnection) -> Response | None:
        host = request.headers.get("host", "")
        if self._rules.hosts is not None and _name(host) not in self._rules.hosts:
            return problem(
                403,
                f"this computer does not go by the name {host!r} here",
                f"Use one of: {', '.join(sorted(self._rules.hosts))}.",
            )
        origin = request.headers.get("origin")
        # Another site may link here, and nothing else.
        site, mode = request.headers.get("sec-fetch-site"), request.headers.get("sec-fetch-mode")
        linked = mode == "navigate" and request.scope["method"] == "GET"
        elsewhere = site in {"cross-site", "same-site"} and not linked
        if elsewhere or (origin is not None and origin.partition("://")[2] != host):
            return problem(403, "this request comes from the page of another site", "Open the page of this server.")
        return None

    def _without_token(self, request: HTTPConnection) -> Response | None:
        token, path = self._rules.token, request.scope["path"]
        if token is None or path.startswith("/static/"):
            return None
        # Cookies ignore ports: two pages on one computer need two cookies.
        cookie = f"hpa-token-{request.scope['server'][1]}"
        shown = request.query_params.get("token")
        if path == "/" and shown is not None:
            if _same(shown, token):
                response = RedirectResponse("/", 303)
                response.set_cookie(cookie, token, httponly=True, samesite="strict")
                return response
            return FileResponse(STATIC / "sign-in.html", 401)
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if _same(request.cookies.get(cookie, ""), token) or (kind.lower() == "bearer" and _same(given.strip(), token)):
            return None
        if path == "/":
            return FileResponse(STATIC / "sign-in.html", 401)
        remedy = "Send it in the header Authorization: Bearer TOKEN, or open the page with ?token=TOKEN once."
        return problem(401, "this server asks for a token", remedy, {"WWW-Authenticate": "Bearer"})

    def _too_large(self, request: HTTPConnection) -> Response | None:
        length, limit = request.headers.get("content-length", "0"), self._limit(request)
        too_large = len(length) > _LONGEST_NUMBER or (length.isdecimal() and int(length) > limit)
        return _large(limit) if too_large else None

    def _limit(self, request: HTTPConnection) -> int:
        largest = self._rules.largest_body
        return largest if request.scope["path"] == _FIELDS_PATH else min(largest, _LARGEST_RECORD)


def problem(status: int, what: str, remedy: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Create the response to a request that is refused."""
    return JSONResponse(asdict(Problem(what=what, remedy=remedy)), status, headers)


_TOO_LARGE = "the request is larger than the {:,} bytes that are read"


def _large(limit: int) -> JSONResponse:
    # Closed, because otherwise the rest would have to be read.
    headers = {"Connection": "close"}
    return problem(413, _TOO_LARGE.format(limit), "Send one field at a time, cut to one field of view.", headers)


def _busy() -> JSONResponse:
    return problem(
        503,
        f"{MOST_AT_ONCE} requests are in work already",
        f"Send it again in {RETRY_SECONDS} seconds.",
        {"Retry-After": str(RETRY_SECONDS), "Connection": "close"},
    )


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:  # an incomplete IPv6 address
        return None


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _bounded(receive: Receive, limit: int) -> Receive:
    """Limit the bytes of a body, and the time to wait for each part of it."""
    length, whole = 0, False

    async def receive_bounded() -> Message:
        nonlocal length, whole
        if whole:
            return await receive()  # reports that the client has disconnected
        try:
            message = await asyncio.wait_for(receive(), _BODY_TIMEOUT)
        except TimeoutError as error:
            raise HTTPException(408, "the request did not come to its end", {"Connection": "close"}) from error
        length += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if length > limit:
            raise HTTPException(413, _TOO_LARGE.format(limit), {"Connection": "close"})
        return message

    return receive_bounded


def _with_headers(send: Send, path: str) -> Send:
    # For responses without a caching rule: a browser would guess how long it may cache them, and could combine scripts
    # of two versions. The reason for a refusal is only valid at the time.
    caching = b"no-cache" if path.startswith("/static/") else b"no-store"

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            if not any(name.lower() == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", caching))
            message["headers"] = [*headers, *_HEADERS.items()]
        await send(message)

    return send_with_headers
