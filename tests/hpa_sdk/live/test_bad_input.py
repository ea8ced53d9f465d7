"""Bad input is refused with a reason and leaves nothing behind, and the work continues."""

from __future__ import annotations

import json
import socket
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import numpy as np
import pytest

from hpa_sdk.live import server
from hpa_sdk.live.uploads import Uploads
from hpa_sdk.results.result_store import LEDGER
from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.live.serving import Page, field, serving, why, zip_of
from tests.hpa_sdk.workstation.watching import make_station, wait_until, watching
from tests.small import make_model

Sent = tuple[str, bytes]


def png_bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it is huge."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def renamed(fields: list[Sent], pattern: str) -> list[Sent]:
    return [(pattern.format(name), content) for name, content in fields]


BAD: dict[str, tuple[Callable[[list[Sent]], list[Sent]], str]] = {
    "three planes": (lambda good: good[:3], "no channel is yellow"),
    "a zip": (lambda good: [("field.zip", zip_of(*good[0]))], "no format of microscopes"),
    "a zip that says it is a picture": (
        lambda good: [*good[:3], (good[3][0], zip_of(*good[3]))],
        "no PNG, JPEG or TIFF",
    ),
    "a PNG bomb": (lambda good: [*good[:3], (good[3][0], png_bomb(100_000))], "100000x100000 pixels"),
    "two fields": (lambda good: [*good, *renamed(good, "other-{}")], "not those of one field"),
    "the same name twice": (lambda good: [good[0], *good], "the same name"),
    "an empty plane": (lambda good: [*good[:3], (good[3][0], b"")], "empty"),
    "a name with a path": (lambda good: renamed(good, "../../{}"), "can't be the name"),
    "a name with a path of Windows": (lambda good: renamed(good, "..\\{}"), "can't be the name"),
    "an absolute path": (lambda good: renamed(good, "/etc/{}"), "can't be the name"),
    "a drive": (lambda good: renamed(good, "C:{}"), "can't be the name"),
    "a hidden name": (lambda good: renamed(good, ".{}"), "can't be the name"),
    "a name without end": (lambda good: renamed(good, "a" * 200 + "{}"), "can't be the name"),
    "more files than a field has": (lambda good: [(f"{at}.png", good[0][1]) for at in range(300)], "300 files"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_field_is_refused_and_the_next_one_answered(shared_page: Page, tmp_path: Path, case: str) -> None:
    page = shared_page
    before = page.kept(), page.get("/health")["results"]
    good = [(file.name, file.read_bytes()) for file in field(tmp_path / "mine", "field-1").files]
    make, reason = BAD[case]
    response = page.send(*make(good))
    assert response.status_code == 422
    assert reason in response.json()["what"]
    assert response.json()["remedy"]
    assert str(tmp_path) not in response.text
    assert (page.kept(), page.get("/health")["results"]) == before
    assert page.send(*good).status_code == 200


@pytest.mark.parametrize("content", [b"", b"--x\r\n", b"not a form", b"\xff" * 1000])
def test_what_is_no_form_is_refused(shared_page: Page, content: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"} if content else {}
    response = shared_page.client.post("/predict", content=content, headers=headers)
    assert response.status_code in {400, 422}
    assert response.json()["what"]


def test_5_gigabytes_are_refused_before_they_come(shared_page: Page) -> None:
    request = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5368709120\r\n\r\n"
    with socket.create_connection(("127.0.0.1", httpx.URL(shared_page.url).port or 0), timeout=60) as connection:
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"413" in answer.splitlines()[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["what"].startswith("the request is larger")


def test_a_body_of_unknown_length_is_read_up_to_the_limit(
    station: Station, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(server, "LARGEST_UPLOAD", 100_000)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a_red.png"\r\n\r\n'
        while sent < 50_000_000:
            sent += 65536
            yield bytes(65536)

    with serving(station) as page:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        try:
            response = page.client.post("/predict", content=endless(), headers=headers)
            assert response.status_code == 413
        except httpx.TransportError:
            pass  # closed while the rest was on its way
        assert sent < 50_000_000
        assert page.kept() == []
        assert page.send(*field(tmp_path / "mine", "field-1").files).status_code == 200


def test_16_bits_without_a_white_level_are_refused(shared_page: Page, tmp_path: Path) -> None:
    response = shared_page.send(*field(tmp_path / "mine", "deep", dtype=np.uint16).files)
    assert (response.status_code, "--white" in response.json()["remedy"]) == (422, True)


def test_a_replaced_model_is_reported_the_loaded_one_answers(tmp_path: Path, model: Path) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(model.read_bytes())
    station = make_station(tmp_path, own)
    with serving(station) as page:
        before = page.send(*field(tmp_path / "mine", "field-1").files).json()["results"][0]
        make_model(own, name="another")
        status = page.get("/health")
        assert (status["status"], status["model"]["sha256"]) == ("trouble", before["model_sha256"])
        assert "replaced" in status["troubles"][0]
        after = page.send(*field(tmp_path / "mine", "field-1").files).json()["results"][0]
        assert (after["probabilities"], after["model_sha256"]) == (before["probabilities"], before["model_sha256"])


def test_results_of_another_version_are_refused_and_left_alone(station: Station) -> None:
    ledger = station.output / LEDGER
    ledger.write_bytes(b"something else" * 100)
    assert "moved away" in why(station)
    assert ledger.read_bytes() == b"something else" * 100


def test_a_result_that_was_damaged_costs_no_other(page: Page, tmp_path: Path) -> None:
    for name in ("a", "b"):
        page.send(*field(tmp_path / "mine", name).files)
    with closing(sqlite3.connect(page.station.output / LEDGER)) as ledger, ledger:
        ledger.execute("UPDATE results SET content = '{' WHERE number = 1")
    newest, damaged = page.get("/results")["results"]
    assert (newest["error"], damaged["number"]) == (None, 1)
    assert "damaged" in damaged["error"]["what"]
    assert page.get("/health")["label_counts"] == [int(at in newest["indices"]) for at in range(28)]


def test_a_folder_of_another_watch_is_shown_but_not_watched(station: Station, tmp_path: Path) -> None:
    field(station.watch, "field-1")
    with watching(station):
        assert "another watch is at work" in why(station, watches=True)
        with serving(station) as page:
            wait_until(lambda: page.get("/results")["results"])
            assert page.get("/health")["watching"] is None
            assert page.send(*field(tmp_path / "mine", "field-2").files).status_code == 200


def test_trouble_of_the_watched_folder_is_reported(station: Station) -> None:
    with serving(station, watches=True) as page:
        station.watch.rename(station.watch.with_name("away"))
        wait_until(lambda: page.get("/health")["notices"])
        assert "can't be listed" in page.get("/health")["notices"][0]["text"]
        station.watch.with_name("away").rename(station.watch)
        wait_until(lambda: "over" in page.get("/health")["notices"][-1]["text"])


def test_only_so_much_is_kept_of_what_was_sent(tmp_path: Path) -> None:
    def keep(uploads: Uploads) -> Path:
        content = (tmp_path / "content").open("rb")
        with content:
            names = uploads.store([("a.tif", content)])
        uploads.finish(names)
        return tmp_path / names[0]

    (tmp_path / "content").write_bytes(bytes(1000))
    uploads = Uploads(tmp_path, max_bytes=2500)
    first, second = keep(uploads), keep(uploads)
    first.with_suffix(".json").write_bytes(b"a result")
    assert first.exists()
    third = keep(Uploads(tmp_path, max_bytes=2500))
    assert [first.exists(), second.exists(), third.exists()] == [False, True, True]
    assert first.with_suffix(".json").exists()
