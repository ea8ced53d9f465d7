"""Runs the page's server on a thread, in parallel with the rest of the program."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from hpa_sdk.errors import SettingError
from hpa_sdk.live.access_control import AccessRules
from hpa_sdk.live.service import LARGEST_UPLOAD

_SHORTEST_TOKEN = 16
_GRACE = 5  # seconds to finish open requests at shutdown


def rules_for(host: str, token: str | None) -> AccessRules:
    """Return the access rules for an address.

    Parameters
    ----------
    host : str
        The address to listen on.
    token : str or None
        The token that every client needs; required if other computers can reach the address.

    Raises
    ------
    SettingError
        The token is missing or too short.
    """
    if token is not None and (len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
        raise SettingError(
            f"the token is not made of {_SHORTEST_TOKEN} or more plain characters",
            remedy=f"Take one that nobody guesses, such as {secrets.token_urlsafe(24)}",
        )
    if not _is_loopback(host) and token is None:
        raise SettingError(
            f"other computers can reach {host}, and there is no token to keep strangers out",
            remedy=f"Give one with --token or in HPA_TOKEN, such as {secrets.token_urlsafe(24)}",
        )
    names = frozenset({"127.0.0.1", "localhost", "::1", host.lower()}) if _is_loopback(host) else None
    return AccessRules(hosts=names, token=token, largest_body=LARGEST_UPLOAD)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Bind an address during the block.

    Raises
    ------
    SettingError
        The address is not available.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        taken = socket.create_server(found[0][4][:2], family=found[0][0])
    except OSError as error:
        raise SettingError(
            f"the address {host}:{port} can't be had ({error.strerror})",
            remedy="Another program may hold it: name another port with --port, or 0 for any.",
        ) from error
    with taken:
        yield taken


@contextmanager
def serving(app: ASGIApp, taken: socket.socket, stop: threading.Event) -> Iterator[None]:
    """Serve an application during the block.

    Parameters
    ----------
    app : ASGI application
        What to serve.
    taken : socket.socket
        The socket to serve on.
    stop : threading.Event
        Set if the server ends by itself, and at the end of the block.
    """
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # it would log tokens
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
    )

    def run() -> None:
        try:
            server.run([taken])
        finally:
            stop.set()

    thread = threading.Thread(target=run, name="hpa-page")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        server.should_exit = True
        thread.join()


def url_of(taken: socket.socket) -> str:
    """Return the URL of the page."""
    host, port = taken.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _is_loopback(host: str) -> bool:
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
