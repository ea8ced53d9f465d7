"""A server of planes that misbehaves as real ones do, answer by answer."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from click.testing import CliRunner, Result

from hpa_sdk.fields.samples import Channel
from tests.pseudocoloured import COLOURS, jpeg, make_plane, pseudocolour
from training.__main__ import main as training_command
from training.download.url_pattern import UrlPattern

Answer = Callable[["Handler", bytes], None]


@lru_cache
def picture_at(path: str) -> bytes:
    channel = Channel(path.rpartition("_")[2].removesuffix(".jpg"))
    return jpeg(pseudocolour(make_plane(len(path) + list(Channel).index(channel)), COLOURS[channel]))


@dataclass
class Site:
    """A server of planes, or other content, whose answers can be replaced, path by path."""

    url: str = ""
    content: Callable[[str], bytes] = picture_at
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pattern(self) -> UrlPattern:
        return UrlPattern(self.url + "/{folder}/{rest}_{channel}.jpg")

    def count(self) -> int:
        return sum(map(len, self.requests.values()))


class Handler(BaseHTTPRequestHandler):
    """Gives the next scripted answer of a path; then, and elsewhere, the content."""

    site: Site

    def do_GET(self) -> None:
        with self.site.lock:
            self.site.requests[self.path].append(dict(self.headers.items()))
            scripted = self.site.answers.get(self.path, [])
            answer = scripted.pop(0) if scripted else whole
        answer(self, self.site.content(self.path))

    def log_message(self, *_: Any) -> None:
        """Be silent."""

    def start(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


def whole(handler: Handler, content: bytes) -> None:
    handler.start(200, Content_Length=len(content))
    handler.wfile.write(content)


def cut(handler: Handler, content: bytes, *, etag: str = '"v1"') -> None:
    handler.start(200, Content_Length=len(content), ETag=etag, Accept_Ranges="bytes")
    handler.wfile.write(content[:1000])


def cut_without_version(handler: Handler, content: bytes) -> None:
    handler.start(200, Content_Length=len(content))
    handler.wfile.write(content[:1000])


def rest(handler: Handler, content: bytes) -> None:
    start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    size = len(content)
    handler.start(206, Content_Length=size - start, Content_Range=f"bytes {start}-{size - 1}/{size}", ETag='"v1"')
    handler.wfile.write(content[start:])


def wrong_part(handler: Handler, content: bytes) -> None:
    handler.start(206, Content_Length=len(content), Content_Range=f"bytes 0-{len(content) - 1}/{len(content)}")
    handler.wfile.write(content)


def status(code: int, **headers: object) -> Answer:
    return lambda handler, _: handler.start(code, Content_Length=0, **headers)


def html(handler: Handler, _: bytes) -> None:
    whole(handler, b"<!doctype html><title>We are moving</title>")


def promise_more(handler: Handler, content: bytes) -> None:
    handler.start(200, Content_Length=len(content) + 500)
    handler.wfile.write(content)


def promise_less(handler: Handler, content: bytes) -> None:
    handler.start(200, Content_Length=len(content) // 2)
    handler.wfile.write(content)


def no_length(handler: Handler, content: bytes) -> None:
    handler.start(200)
    handler.wfile.write(content)


def silent(handler: Handler, content: bytes) -> None:
    """Say nothing until the client hangs up."""
    handler.start(200, Content_Length=len(content))
    handler.connection.settimeout(20)
    handler.connection.recv(1)


def trickle(handler: Handler, content: bytes) -> None:
    """Send a byte now and then until the client hangs up, which the write then raises."""
    handler.start(200, Content_Length=len(content))
    for byte in content[:400]:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.05)


@contextmanager
def serve(content: Callable[[str], bytes] = picture_at) -> Iterator[Site]:
    site = Site(content=content)
    handler = type("OwnHandler", (Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up are part of this
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        server.shutdown()
        thread.join()


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(training_command, ["download", *map(str, arguments)])
