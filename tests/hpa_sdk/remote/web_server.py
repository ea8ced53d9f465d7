"""Serves a folder over HTTP, with whatever trouble a test wants."""

from __future__ import annotations

import http.server
from collections import Counter
from collections.abc import Callable
from urllib.parse import unquote

Trouble = Callable[["Server", str, int], bool]


class Server(http.server.SimpleHTTPRequestHandler):
    """Asks `trouble` before each answer, and counts the requests for each name."""

    asked: Counter[str]
    trouble: Trouble

    def do_GET(self) -> None:
        name = unquote(self.path).rpartition("/")[2]
        self.asked[name] += 1
        if not type(self).trouble(self, name, self.asked[name]):
            super().do_GET()

    def do_HEAD(self) -> None:
        name = unquote(self.path).rpartition("/")[2]
        if not type(self).trouble(self, name, self.asked[name]):
            super().do_HEAD()

    def log_message(self, *_: object) -> None:
        pass
