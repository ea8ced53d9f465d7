"""Access control refuses other sites, other names of this computer, and other computers without the token."""

from __future__ import annotations

import asyncio
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from hpa_sdk.errors import SettingError
from hpa_sdk.live.access_control import MOST_AT_ONCE, AccessControl, AccessRules
from hpa_sdk.live.server import rules_for
from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.live.serving import TOKEN, Page, field, serving

ELSEWHERE: list[dict[str, str]] = [
    {"Host": "evil.example"},
    {"Host": "evil.example:8765"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": ""},
    {"Host": "[::"},
    {"Origin": "http://["},
    {"Origin": "http://evil.example"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
]


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
def test_other_sites_are_refused(shared_page: Page, tmp_path: Path, headers: dict[str, str]) -> None:
    page = shared_page
    for path in ("/", "/results", "/pictures/red/a", "/events", "/static/page.js", "/openapi.json"):
        response = page.client.get(path, headers=headers)
        assert (response.status_code, bool(response.json()["remedy"])) == (403, True)
    plane = field(tmp_path / "mine", "a").files[0]
    sent = page.client.post("/predict", headers=headers, files={"files": plane.read_bytes()})
    assert sent.status_code == 403
    assert page.kept() == []


def test_the_page_itself_and_links_to_it_are_let_in(shared_page: Page) -> None:
    page = shared_page
    for name in ("127.0.0.1", "localhost"):
        host = f"{name}:{httpx.URL(page.url).port}"
        own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert page.client.get("/results", headers=own).status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    response = page.client.get("/", headers=link)
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_a_token_is_needed_for_every_answer(station: Station, tmp_path: Path) -> None:
    planes = [("files", (file.name, file.read_bytes())) for file in field(tmp_path / "mine", "a").files]
    with serving(station, token=TOKEN) as page, httpx.Client(base_url=page.url, timeout=60) as stranger:
        for path in ("/", "/results", "/results/a", "/pictures/red/a", "/events", "/health", "/openapi.json"):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
                response = stranger.get(path, headers=headers)
                assert (response.status_code, TOKEN in response.text) == (401, False)
        assert stranger.post("/predict", files=planes).status_code == 401
        assert stranger.get("/", params={"token": "wrong"}).status_code == 401
        assert page.client.post("/predict", files=planes).status_code == 200
        # A browser shows it once, in the address, and from then on in a cookie that no script can read.
        entered = stranger.get("/", params={"token": TOKEN})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert stranger.get("/results").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "microscope.example"])  # noqa: S104 - refused
def test_another_address_needs_a_token(host: str) -> None:
    with pytest.raises(SettingError, match="HPA_TOKEN"):
        rules_for(host, None)
    assert rules_for(host, TOKEN).token == TOKEN


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_computer_needs_none(host: str) -> None:
    assert rules_for(host, None).token is None


@pytest.mark.parametrize("token", ["", "short", "ü" * 20, "a" * 20 + "\n"])
def test_a_weak_or_wrongly_sent_token_is_refused(token: str) -> None:
    with pytest.raises(SettingError, match="the token is not made of"):
        rules_for("127.0.0.1", token)


def test_one_request_too_many_is_asked_to_come_again() -> None:
    let_go = asyncio.Event()

    async def slow(_: Any, __: Any, send: Any) -> None:
        await let_go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def ask_all() -> list[httpx.Response]:
        app = AccessControl(slow, AccessRules(hosts=None, token=None, largest_body=10))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            asked = [asyncio.create_task(client.post("/predict")) for _ in range(MOST_AT_ONCE + 3)]
            for refused in islice(asyncio.as_completed(asked, timeout=60), 3):
                await refused
            let_go.set()
            return [*await asyncio.gather(*asked), await client.post("/predict")]

    # A thread of its own: Playwright's loop runs in this one once a test has opened a browser.
    with start_blocking_portal() as portal:
        *answers, last = portal.call(ask_all)
    refused = [answer for answer in answers if answer.status_code != 200]
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in refused] == [(503, "2")] * 3
    assert last.status_code == 200
