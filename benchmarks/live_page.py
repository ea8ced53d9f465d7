"""Measures the live page: the throughput of its clients, its memory, and how soon it opens and shows results.

    python -m benchmarks.live_page
    python -m benchmarks.live_page --model resnet.onnx --fields FOLDER --seconds 60

The server and its clients run on this computer, over the loopback address only. Throughput is compared with that of
`Predictor.predict` on the same files, measured before and after, since other programs may use the computer too.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.samples import Sample
from hpa_sdk.labels import Label
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import ResultStore
from tests.small import make_field, make_model

_FIELDS = 64
_SIDE = 512
_RESULTS = 10_000
_SHOWN = 20
_SAMPLE_SECONDS = 0.5
_PATIENCE = 600.0  # seconds for an answer, on a busy computer
_WARM_UP_SECONDS = 10.0
_PREDICT_SHARE = 3  # the time of the clients is divided by this, before and after
_BROWSERS = ("chromium", "google-chrome", "chrome", "msedge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The results of the clients. Times are in seconds, memory in MiB.

    `share` is the throughput of the clients divided by that of `predict`; `memory_start` is the server's after warm-up.
    """

    clients: int
    seconds: float
    answers: int
    errors: int
    fields_a_second: float
    predict_before: float
    predict_after: float
    share: float
    median_seconds: float
    slowest_seconds: float
    memory_start: float
    memory_end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLoad:
    """How soon a page with many results shows the newest, in seconds, and how it scrolls through 1,000 of them.

    `seconds` and `frame_milliseconds` (median, 95 of 100, longest) are of a browser; None without one.
    """

    results: int
    first_page_seconds: float
    seconds: list[float] | None
    frame_milliseconds: list[float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """Seconds from the answer of a field until an open page shows it: median and longest; None without a browser."""

    fields: int
    median_seconds: float | None
    slowest_seconds: float | None


def main() -> None:
    """Measure, and print the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="default: a very small one")
    parser.add_argument("--fields", type=Path, help="folder of fields; default: noise of 512 x 512 pixels")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = options.model or make_model(place / "small.onnx")
        samples = list(islice(_samples(options.fields or place / "noise", make=options.fields is None), _FIELDS))
        load = _measure_load(place / "load", model.absolute(), samples, options.clients, options.seconds)
        opening = _measure_page_load(place / "opening", model.absolute())
        appearance = _measure_appearance(place / "appearance", model.absolute(), samples[:_SHOWN])
    found = {"load": asdict(load), "opening": asdict(opening), "appearance": asdict(appearance)}
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def _samples(folder: Path, *, make: bool) -> Iterator[Sample]:
    if make:
        rng = np.random.default_rng(1)
        for at in range(_FIELDS):
            make_field(folder, f"field-{at}", rng, side=_SIDE)
    return find_samples(folder)


def _predict_rate(model: Path, samples: list[Sample], seconds: float) -> float:
    predictor = Predictor.load(model, device="cpu")
    predictor.predict(samples[:4])
    until = time.monotonic() + seconds
    count, began = 0, time.monotonic()
    while time.monotonic() < until:
        count += len(predictor.predict(samples))
    return count / (time.monotonic() - began)


@contextmanager
def server(folder: Path, model: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Serve the page in a process of its own, and give that and its port."""
    folder.mkdir(exist_ok=True)
    with serving(model, "-o", folder, "--device", "cpu") as served:
        yield served


@contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Serve the page of these arguments of ``hpa serve``, and give its process and port."""
    command = [sys.executable, "-m", "hpa_sdk.cli", "serve", *arguments, "--port", "0"]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, encoding="utf-8") as process:  # noqa: S603 - our own
        try:
            yield process, _port(process)
        finally:
            process.terminate()
            process.wait()


def _port(process: subprocess.Popen[str]) -> int:
    for line in process.stderr or ():
        if match := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
            return int(match[1])
    raise RuntimeError("the server did not start")


def _body(sample: Sample) -> tuple[bytes, str]:
    boundary = uuid.uuid4().hex
    parts = [
        b'--%b\r\nContent-Disposition: form-data; name="files"; filename="%b"\r\n\r\n%b\r\n'
        % (boundary.encode(), file.name.encode(), file.read_bytes())
        for file in sample.files
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _measure_load(folder: Path, model: Path, samples: list[Sample], clients: int, seconds: float) -> Load:
    before = _predict_rate(model, samples, seconds / _PREDICT_SHARE)
    bodies = [_body(sample) for sample in samples]
    with server(folder, model) as (process, port):
        _ask_for(port, bodies, clients, min(_WARM_UP_SECONDS, seconds))
        memory = [_memory(process.pid)]
        done = threading.Event()
        watcher = threading.Thread(target=_sample_memory, args=(process.pid, memory, done))
        watcher.start()
        began = time.monotonic()
        times, errors = _ask_for(port, bodies, clients, seconds)
        took = time.monotonic() - began
        done.set()
        watcher.join()
    after = _predict_rate(model, samples, seconds / _PREDICT_SHARE)
    rate = len(times) / took
    last = memory[-max(1, len(memory) // 10) :]
    return Load(
        clients=clients,
        seconds=round(took, 1),
        answers=len(times),
        errors=errors,
        fields_a_second=round(rate, 2),
        predict_before=round(before, 2),
        predict_after=round(after, 2),
        share=round(rate / statistics.mean((before, after)), 3),
        median_seconds=round(statistics.median(times), 3),
        slowest_seconds=round(max(times), 3),
        memory_start=round(memory[0]),
        memory_end=round(statistics.mean(last)),
    )


def _ask_for(port: int, bodies: list[tuple[bytes, str]], clients: int, seconds: float) -> tuple[list[float], int]:
    until = time.monotonic() + seconds

    def ask(first: int) -> tuple[list[float], int]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        times: list[float] = []
        errors = 0
        for body, kind in islice(cycle(bodies), first, None):
            began = time.monotonic()
            if began > until:
                break
            connection.request("POST", "/predict", body, {"Content-Type": kind})
            response = connection.getresponse()
            errors += response.status != http.client.OK or b'"error":null' not in response.read()
            times.append(time.monotonic() - began)
        connection.close()
        return times, errors

    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(ask, range(clients)))
    return [took for times, _ in found for took in times], sum(errors for _, errors in found)


def _sample_memory(process: int, memory: list[float], done: threading.Event) -> None:
    while not done.wait(_SAMPLE_SECONDS):
        memory.append(_memory(process))


def _memory(process: int) -> float:
    """Return the resident memory of a process in MiB, if the system reports it as Linux does; else 0."""
    status = Path(f"/proc/{process}/status")
    match = re.search(r"VmRSS:\s*(\d+) kB", status.read_text(encoding="utf-8")) if status.exists() else None
    return int(match[1]) / 1024 if match else 0.0


def _measure_page_load(folder: Path, model: Path) -> PageLoad:
    folder.mkdir()
    rng = np.random.default_rng(1)
    with ResultStore(folder) as store:
        store.add(*(made_result(at, rng) for at in range(_RESULTS)))
        with store.ledger.transaction():
            for number, _ in store.after(0, _RESULTS):
                store.ledger.set_has_file(number)
    with server(folder, model) as (_, port):
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        connection.request("GET", "/results?count=100")
        connection.getresponse().read()
        connection.close()
        first_page = time.monotonic() - began
        seen = _look(f"http://127.0.0.1:{port}/")
        return PageLoad(
            results=_RESULTS,
            first_page_seconds=round(first_page, 3),
            seconds=seen and seen[0],
            frame_milliseconds=seen and seen[1],
        )


def made_result(at: int, rng: np.random.Generator) -> Result:
    """Make a result."""
    probabilities = np.round(rng.random(len(Label)) ** 6, 6)
    labels = [Label(int(index)) for index in np.flatnonzero(probabilities >= 0.5)]  # noqa: PLR2004 - the threshold
    return Result(
        id=f"field-{at}",
        labels=tuple(map(str, labels)),
        indices=tuple(map(int, labels)),
        probabilities=tuple(probabilities.tolist()),
        thresholds=(0.5,) * len(Label),
        model_sha256="0" * 64,
        device="cpu",
        time="2026-01-01T00:00:00.000+00:00",
    )


def _look(url: str) -> tuple[list[float], list[float]] | None:
    with headless_browser() as browser:
        if browser is None:
            return None
        return [_open_once(browser, url) for _ in range(5)], _scroll(browser, url)


@contextmanager
def headless_browser() -> Iterator[Any]:
    """Open a browser; gives None where there is none."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where it is installed
    except ImportError:
        found = None
    if found is None:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


def _measure_appearance(folder: Path, model: Path, samples: list[Sample]) -> Appearance:
    times: list[float] = []
    with server(folder, model) as (_, port), headless_browser() as browser:
        if browser is not None:
            visit = browser.new_page()
            visit.goto(f"http://127.0.0.1:{port}/")
            visit.get_by_text("Live", exact=True).wait_for()
            for sample in samples:
                body, kind = _body(sample)
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
                connection.request("POST", "/predict", body, {"Content-Type": kind})
                connection.getresponse().read()
                began = time.monotonic()
                visit.locator("#field .field-id span", has_text=re.compile(rf"^{re.escape(sample.id)}$")).wait_for()
                times.append(time.monotonic() - began)
                connection.close()
    return Appearance(
        fields=len(times),
        median_seconds=round(statistics.median(times), 3) if times else None,
        slowest_seconds=round(max(times), 3) if times else None,
    )


def _scroll(browser: Any, url: str) -> list[float]:  # noqa: ANN401 - playwright may be absent
    visit = browser.new_page()
    visit.goto(url)
    visit.locator("[role=option]").first.wait_for()
    frames = visit.evaluate(
        """async () => {
            const scroll = document.querySelector(".scroll"), times = [];
            while (document.querySelectorAll("[role=option]").length < 1000) {
                const began = performance.now();
                scroll.scrollTop += 2000;
                await new Promise(requestAnimationFrame);
                times.push(performance.now() - began);
            }
            return times.sort((a, b) => a - b);
        }"""
    )
    visit.close()
    return [round(frames[int(share * (len(frames) - 1))], 1) for share in (0.5, 0.95, 1)]


def _open_once(browser: Any, url: str) -> float:  # noqa: ANN401 - playwright may be absent
    visit = browser.new_page()
    began = time.monotonic()
    visit.goto(url)
    visit.locator("#field .field-head").wait_for()
    took = time.monotonic() - began
    visit.close()
    return round(took, 3)


if __name__ == "__main__":
    main()
