"""Starts web servers for the tests of archives."""

from __future__ import annotations

import functools
import http.server
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from hpa_sdk import Sample
from hpa_sdk.fields.remote import archive
from tests.hpa_sdk.remote.web_server import Server, Trouble


@pytest.fixture
def serve(fields: list[Sample], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Trouble], str]]:
    monkeypatch.setattr(archive, "LONGEST_WAIT", 0.05)
    servers = []

    def start(trouble: Trouble) -> str:
        kind = type("Kind", (Server,), {"asked": Counter(), "trouble": staticmethod(trouble)})
        folder = str(fields[0].files[0].parent)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(kind, directory=folder))
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
