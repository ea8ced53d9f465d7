"""Runs the live page on a thread, at an address of this machine, and asks it."""

from __future__ import annotations

import io
import random
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.samples import Sample
from hpa_sdk.live import page
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import UPLOADS, ResultStore
from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.workstation.watching import wait_until
from tests.small import make_field

TOKEN = "a token that nobody guesses"  # noqa: S105 - of tests


@dataclass(frozen=True)
class Page:
    """A page that is being served."""

    url: str
    station: Station
    client: httpx.Client

    def send(self, *files: Path | tuple[str, bytes]) -> httpx.Response:
        """Send files as one field."""
        named = [file if isinstance(file, tuple) else (file.name, file.read_bytes()) for file in files]
        return self.client.post("/predict", files=[("files", file) for file in named])

    def get(self, path: str, **query: Any) -> Any:
        """Ask for JSON."""
        response = self.client.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def kept(self) -> list[Path]:
        """List the planes that were sent and are kept."""
        return [file for file in (self.station.output / UPLOADS).rglob("*.*") if file.suffix != ".json"]


@contextmanager
def serving(station: Station, *, watches: bool = False, token: str | None = None, port: int = 0) -> Iterator[Page]:
    """Serve the page in the block."""
    stop = threading.Event()
    failures: list[BaseException] = []
    urls: list[str] = []

    def run() -> None:
        try:
            page.run(
                station,
                host="127.0.0.1",
                port=port,
                token=token,
                watches=watches,
                existing="do",
                stop=stop,
                on_url=urls.append,
            )
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        wait_until(lambda: failures or urls)
        if urls:
            url = urls[0].removesuffix("/")
            with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
                wait_until(lambda: failures or _answers(client))
                if not failures:
                    yield Page(url, station, client)
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]


def spare_port() -> int:
    """Find a port that systems do not give away by themselves, so that a server can come back to it."""
    while True:
        port = random.randrange(20_000, 30_000)  # noqa: S311 - no secret
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def field(folder: Path, name: str, seed: int = 1, **form: Any) -> Sample:
    """Write a field of noise."""
    return make_field(folder, name, np.random.default_rng(seed), **form)


def zip_of(name: str, content: bytes) -> bytes:
    """Make a zip file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(name, content)
    return packed.getvalue()


def add_results(station: Station, count: int, notes: Callable[[int], tuple[str, ...]] = lambda _: ()) -> None:
    """Add results, every other one with a label, whose files are not the station's; they count as written."""
    with ResultStore(station.output) as store:
        store.add(
            *(
                Result(
                    id=f"field-{at}",
                    labels=("Nucleoplasm",) if at % 2 else (),
                    indices=(0,) if at % 2 else (),
                    probabilities=(0.5,) * 28,
                    thresholds=(0.5,) * 28,
                    files=(str(station.output.parent / "secret_red.png"),),
                    model_sha256="0",
                    device="cpu",
                    time="2026-01-01T00:00:00.000+00:00",
                    notes=notes(at),
                )
                for at in range(count)
            )
        )
        with store.ledger.transaction():
            for number, _ in store.after(0, count):
                store.ledger.set_has_file(number)


def why(station: Station, **options: Any) -> str:
    """Say why the page can't start."""
    try:
        with serving(station, **options):
            return ""
    except HpaError as error:
        return str(error)
