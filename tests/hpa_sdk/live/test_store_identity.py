"""A number, an event or a picture of one store is never confused with that of another."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from hpa_sdk.results.result_ledger import Ledger
from hpa_sdk.results.result_store import LEDGER, ResultStore
from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.live.serving import Page, field, serving

OTHER = "0123456789abcdef"


def move_store_away(station: Station) -> None:
    """Move the old store away, as its errors advise."""
    station.output.rename(station.output.with_name(f"old-{len(list(station.output.parent.iterdir()))}"))
    station.output.mkdir()


def send(page: Page, folder: Path, name: str, seed: int = 1) -> Any:
    return page.send(*field(folder / "mine", name, seed=seed).files).json()["results"][0]


def address(result: Any, view: str = "composite", **changes: Any) -> tuple[str, dict[str, Any]]:
    return f"/pictures/{view}/{result['id']}", {"store": result["store"], "number": result["number"], **changes}


def test_every_store_has_an_identity_and_keeps_it(station: Station, tmp_path: Path) -> None:
    with serving(station) as page:
        first = send(page, tmp_path, "a")
        assert page.get("/health")["store"] == page.get("/results")["store"] == first["store"]
    with serving(station) as page:
        assert page.get("/health")["store"] == first["store"]
    move_store_away(station)
    with serving(station) as page:
        again = send(page, tmp_path, "a")
        assert again["number"] == first["number"]
        assert again["store"] != first["store"]


def test_a_ledger_of_an_earlier_version_gets_an_identity(tmp_path: Path) -> None:
    path = tmp_path / LEDGER
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM facts")
    with closing(Ledger(path)) as ledger, closing(Ledger(path)) as other:
        assert len(ledger.identity) == 16
        assert ledger.identity == other.identity


def test_a_copy_of_a_store_is_another_store(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with ResultStore(tmp_path / "one") as store:
        identity = store.ledger.identity
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    (tmp_path / "one").rename(tmp_path / "moved")
    with ResultStore(tmp_path / "moved") as moved, ResultStore(tmp_path / "copy") as copy:
        assert moved.ledger.identity == identity != copy.ledger.identity


@pytest.mark.parametrize(("changes", "status"), [({"number": 999}, 409), ({"store": OTHER}, 409), ({}, 200)])
def test_a_picture_is_of_the_number_that_was_asked_for(
    shared_page: Page, tmp_path: Path, changes: dict[str, Any], status: int
) -> None:
    path, query = address(send(shared_page, tmp_path, "a"), **changes)
    response = shared_page.client.get(path, params=query)
    assert response.status_code == status
    assert (response.headers["content-type"] == "image/png") == (status == 200)


def test_a_picture_is_kept_long_only_under_store_and_number(shared_page: Page, tmp_path: Path) -> None:
    path, query = address(send(shared_page, tmp_path, "a"))
    kept = {}
    for asked in ((), ("store",), ("number",), ("store", "number")):
        response = shared_page.client.get(path, params={name: query[name] for name in asked})
        assert response.status_code == 200
        kept[asked] = response.headers["cache-control"]
    lasting = kept.pop(("store", "number"))
    assert "max-age" in lasting
    assert set(kept.values()) == {"no-store"}


def test_what_says_no_time_is_not_kept(shared_page: Page) -> None:
    kept = {
        path: shared_page.client.get(path).headers["cache-control"]
        for path in ("/health", "/results", "/results/none", "/pictures/red/none", "/openapi.json", "/static/page.js")
    }
    assert kept.pop("/static/page.js") == "no-cache"
    assert set(kept.values()) == {"no-store"}


def test_a_page_of_another_store_is_refused(shared_page: Page, tmp_path: Path) -> None:
    store = send(shared_page, tmp_path, "a")["store"]
    assert shared_page.get("/results", before=5, store=store)["store"] == store
    response = shared_page.client.get("/results", params={"before": 5, "store": OTHER})
    assert (response.status_code, "another store" in response.json()["what"]) == (409, True)


def seen(page: Page, *, last: str = "", **after: Any) -> list[tuple[str, Any]]:
    """Read the events up to the first sign of life: the name or id of each, and its data."""

    def lines() -> Iterator[str]:
        headers = {"Last-Event-ID": last} if last else {}
        with page.client.stream("GET", "/events", params=after, headers=headers) as stream:
            yield from takewhile(lambda line: not line.startswith(": "), stream.iter_lines())

    found: list[tuple[str, Any]] = []
    name = ""
    for line in lines():
        kind, _, text = line.partition(": ")
        if kind in {"event", "id"}:
            name = text
        elif kind == "data":
            found.append((name, json.loads(text)))
    return found


def test_events_are_numbered_within_their_store(station: Station, tmp_path: Path) -> None:
    with serving(station) as page:
        results = [send(page, tmp_path, name) for name in "ab"]
        store = results[0]["store"]
        (status, content), *new = seen(page, last=f"{store}-1")
        assert (status, content["store"]) == ("status", store)
        assert new == [(f"{store}-2", results[1])]
        # Who comes from another store, or from an earlier version, begins anew.
        for last in (f"{OTHER}-1", "1", "x"):
            _, *new = seen(page, last=last)
            assert [name for name, _ in new] == [f"{store}-1", f"{store}-2"]
        for after, count in (({"after": 1, "store": store}, 1), ({"after": 1, "store": OTHER}, 2), ({"after": 1}, 1)):
            assert len(seen(page, **after)) == 1 + count
