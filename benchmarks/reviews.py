"""Measures reviews: how soon a large store opens, many clients at once, and a person with a keyboard.

    python -m benchmarks.reviews
    python -m benchmarks.reviews --model starter.onnx --seconds 60 --clients 8

The server and its clients run on this computer. Every client sends each review twice, as after a lost response; at the
end every review must be stored exactly once.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live_page import headless_browser, made_result, server
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.review.log import ReviewLog
from hpa_sdk.review.record import Review, now
from hpa_sdk.review.summary import read_reviewed, summarise
from tests.small import make_model

_RESULTS, _REVIEWS, _IN_A_ROW = 10_000, 2_000, 200
_KEYS = "rwub"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Seconds until a store with results and reviews is open, until it is summed up, and until a page shows it."""

    results: int
    reviews: int
    seconds_open: float
    seconds_summary: float
    seconds_first_queue: float
    seconds_page: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Reviews of several clients at once; `lost` and `twice` must be 0."""

    clients: int
    seconds: float
    sent: int
    lost: int
    twice: int
    reviews_a_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyboard:
    """Reviews in a row in a browser, one key each."""

    reviews: int
    seconds: float
    reviews_a_second: float


def main() -> None:
    """Measure, and print the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="default: a very small one")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = (options.model or make_model(place / "small.onnx")).absolute()
        _fill(place / "opening", reviews=_REVIEWS)
        _fill(place / "work", reviews=0)
        opening = _measure_opening(place / "opening", model)
        clients = _measure_clients(place / "work", model, options.clients, options.seconds)
        keyboard = _measure_keyboard(place / "work", model)
    found = {"opening": asdict(opening), "clients": asdict(clients), "keyboard": keyboard and asdict(keyboard)}
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def _fill(folder: Path, *, reviews: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(1)
    results = [made_result(at, rng) for at in range(_RESULTS)]
    with ResultStore(folder) as store:
        store.add(*results)
        with store.ledger.transaction():
            for number, _ in store.after(0, _RESULTS):
                store.ledger.set_has_file(number)
        log = ReviewLog(store.ledger)
        for at, result in enumerate(results[:reviews]):
            log.add(
                Review(
                    id=f"made-{at:08}",
                    verdict="labels",
                    labels=(at % 28,),
                    reviewer=f"person {at % 4}",
                    time=now(),
                    result=result,
                )
            )


def _measure_opening(folder: Path, model: Path) -> Opening:
    began = time.monotonic()
    with ResultStore(folder) as store:
        read_reviewed(store)
        opened = time.monotonic() - began
        summarise(store)
        summed = time.monotonic() - began
    with server(folder, model) as (_, port):
        began = time.monotonic()
        _get(port, "/review-queue?reviewer=Anna")
        queued = time.monotonic() - began
    seconds: float | None = None
    with server(folder, model) as (_, port), headless_browser() as browser:
        if browser is not None:
            visit = browser.new_page()
            began = time.monotonic()
            visit.goto(f"http://127.0.0.1:{port}/")
            visit.locator("#figures td").first.wait_for()
            visit.locator("#field .field-head").wait_for()
            seconds = round(time.monotonic() - began, 3)
    return Opening(
        results=_RESULTS,
        reviews=_REVIEWS,
        seconds_open=round(opened, 3),
        seconds_summary=round(summed, 3),
        seconds_first_queue=round(queued, 3),
        seconds_page=seconds,
    )


def _measure_clients(folder: Path, model: Path, clients: int, seconds: float) -> Clients:
    with server(folder, model) as (_, port):
        fields = _get(port, "/results?count=500")["results"]
        until = time.monotonic() + seconds

        def review(client: int) -> list[str]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            sent: list[str] = []
            while time.monotonic() < until:
                result = fields[len(sent) % len(fields)]
                body = {
                    "id": f"client-{client}-{len(sent):08}",
                    "field": result["id"],
                    "number": result["number"],
                    "store": result["store"],
                    "verdict": "unsure",
                    "reviewer": f"client {client}",
                }
                for _ in range(2):
                    connection.request("POST", "/reviews", json.dumps(body), {"Content-Type": "application/json"})
                    response = connection.getresponse()
                    if response.status != http.client.OK:
                        raise RuntimeError(response.read().decode())
                    response.read()
                sent.append(str(body["id"]))
            connection.close()
            return sent

        began = time.monotonic()
        with ThreadPoolExecutor(clients) as pool:
            sent = [name for names in pool.map(review, range(clients)) for name in names]
        took = time.monotonic() - began
    with ResultStore(folder) as store:
        stored = Counter(entry.review.id for entry in ReviewLog(store.ledger).after(0))
    return Clients(
        clients=clients,
        seconds=round(took, 1),
        sent=len(sent),
        lost=len(set(sent) - stored.keys()),
        twice=sum(count > 1 for count in stored.values()),
        reviews_a_second=round(len(sent) / took, 1),
    )


def _measure_keyboard(folder: Path, model: Path) -> Keyboard | None:
    with server(folder, model) as (_, port), headless_browser() as browser:
        if browser is None:
            return None
        before = len(_reviews_of(port, "Keyboard"))
        visit = browser.new_page()
        visit.goto(f"http://127.0.0.1:{port}/")
        visit.get_by_text("Live", exact=True).wait_for()
        visit.locator("#review").press("Enter")
        visit.keyboard.type("Keyboard")
        visit.keyboard.press("Enter")
        visit.locator("#review-state", has_text=":").wait_for()
        name = visit.locator("#field .field-id span")
        began = time.monotonic()
        for at in range(_IN_A_ROW):
            shown = name.inner_text()
            visit.keyboard.press(_KEYS[at % len(_KEYS)])
            visit.wait_for_function(
                "(shown) => document.querySelector('#field .field-id span').textContent !== shown", arg=shown
            )
        took = time.monotonic() - began
        found = _reviews_of(port, "Keyboard")
        if len(found) - before != _IN_A_ROW or len({one["result"]["id"] for one in found}) != len(found):
            raise RuntimeError(f"{len(found) - before} reviews are stored, and {_IN_A_ROW} were given")
    return Keyboard(reviews=_IN_A_ROW, seconds=round(took, 1), reviews_a_second=round(_IN_A_ROW / took, 2))


def _reviews_of(port: int, reviewer: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = 0
    while after is not None:
        page = _get(port, f"/reviews?count=500&after={after}")
        found += [one for one in page["reviews"] if one["reviewer"] == reviewer]
        after = page["next"]
    return found


def _get(port: int, path: str) -> Any:  # noqa: ANN401 - JSON
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    content = json.loads(connection.getresponse().read())
    connection.close()
    return content


if __name__ == "__main__":
    main()
