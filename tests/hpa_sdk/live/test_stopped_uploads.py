"""Planes of sent fields and the tables of their cells stay or go together, whatever stops the server."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from hpa_sdk.live.service import Service
from hpa_sdk.live.uploads import Uploads
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.result_store import UPLOADS, ResultStore
from hpa_sdk.workstation.field_cells import CELLS_FOLDER
from hpa_sdk.workstation.station import Station
from tests.hpa_sdk.cells.made_fields import FOUR, draw
from tests.hpa_sdk.live.celled import cells, sent, tables, with_cells
from tests.hpa_sdk.live.serving import Page, serving
from tests.small import write_planes


def test_a_stop_while_cells_are_found_leaves_nothing(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on, over = threading.Event(), threading.Event(), threading.Event()
    find, finish = Predictor.cells, Service.finish

    def wait(self: Predictor, *arguments: Any, **options: Any) -> Any:
        began.set()
        assert go_on.wait(60)
        return find(self, *arguments, **options)

    def note_end(self: Service, *arguments: Any) -> Any:
        try:
            return finish(self, *arguments)
        finally:
            over.set()

    monkeypatch.setattr(Predictor, "cells", wait)
    monkeypatch.setattr(Service, "finish", note_end)
    monkeypatch.setattr("hpa_sdk.live.server._GRACE", 0.1)
    sample = write_planes(tmp_path / "mine", "A01", draw(FOUR))
    with ThreadPoolExecutor(1) as clients:
        with serving(with_cells(station)) as page:
            answer = clients.submit(page.send, *sample.files)
            assert began.wait(60)
        go_on.set()  # the server has stopped by force, and its thread finds the cells all the same
        assert over.wait(60)
        with pytest.raises(httpx.TransportError):
            answer.result().raise_for_status()
    assert (page.kept(), tables(page)) == ([], [])
    with ResultStore(station.output) as store:
        assert store.count() == 0


def test_tables_that_a_killed_server_left_are_removed(station: Station, tmp_path: Path) -> None:
    celled = with_cells(station)
    with serving(celled) as page:
        result = sent(page, write_planes(tmp_path / "mine", "A01", draw(FOUR)))
    kept, uploads = station.output / CELLS_FOLDER / f"{result['id']}.csv", station.output / CELLS_FOLDER / UPLOADS
    shutil.rmtree((station.output / result["id"]).parent)  # its planes
    orphan, busy = (uploads / f"20260101-00000{at}-000000-0000" for at in range(2))
    for folder in (orphan, busy):
        (folder / "plate").mkdir(parents=True)
        (folder / "plate" / "A01.csv").write_bytes(b"half a ta")
        (folder / ".0123abcd.A02.csv").write_bytes(b"partial")
    (station.output / UPLOADS / busy.name).mkdir(parents=True)  # as of a server that is at work
    with serving(celled) as page:
        assert not orphan.exists()
        assert len([file for file in busy.rglob("*") if file.is_file()]) == 2
        assert len(cells(page, result)) == len(FOUR)
    assert kept.exists()


@pytest.mark.slow
def test_what_a_killed_server_was_writing_is_removed_in_turn(station: Station, tmp_path: Path) -> None:
    sample = write_planes(tmp_path / "mine", "A01", draw(FOUR))
    command = [sys.executable, "-m", "tests.hpa_sdk.live.stuck_server", str(tmp_path / "station.toml")]
    with ThreadPoolExecutor(1) as clients, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        page = Page(process.stdout.readline().strip(), station, httpx.Client(timeout=60))
        named = [("files", (file.name, file.read_bytes())) for file in sample.files]
        answer = clients.submit(page.client.post, f"{page.url}predict", files=named)
        assert process.stdout.readline().startswith("writing ")
        process.kill()
        with pytest.raises(httpx.TransportError):
            answer.result()
        page.client.close()
    assert (len(page.kept()), len(tables(page))) == (4, 1)
    uploads = Uploads(station.output, max_bytes=1)
    names = uploads.store([("a.tif", io.BytesIO(b"12"))])
    uploads.finish(names)
    assert ([file.name for file in page.kept()], tables(page)) == (["a.tif"], [])


def test_tables_without_planes_count(tmp_path: Path) -> None:
    left = tmp_path / CELLS_FOLDER / UPLOADS / "20260101-000000-000000-0000" / "a.csv"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(2000))
    uploads = Uploads(tmp_path, max_bytes=2500)
    names = uploads.store([("a.tif", io.BytesIO(bytes(1000)))])
    uploads.finish(names)
    assert (left.parent.exists(), (tmp_path / names[0]).exists()) == (False, True)


def test_only_so_many_tables_of_sent_fields_are_kept(tmp_path: Path) -> None:
    def keep(uploads: Uploads, table: int) -> tuple[Path, Path]:
        with (tmp_path / "content").open("rb") as content:
            names = uploads.store([("a.tif", content)])
        file = tmp_path / CELLS_FOLDER / names[0].replace("a.tif", "a.csv")
        file.parent.mkdir(parents=True)
        file.write_bytes(bytes(table))
        uploads.finish(names)
        return tmp_path / names[0], file

    (tmp_path / "content").write_bytes(bytes(1000))
    uploads = Uploads(tmp_path, max_bytes=2500)
    first, second = keep(uploads, 400), keep(uploads, 400)  # 2,800 bytes
    assert [file.exists() for file in (*first, *second)] == [False, False, True, True]
    third = keep(Uploads(tmp_path, max_bytes=2500), 100)  # 2,500 bytes, after a new start
    assert all(file.exists() for file in (*second, *third))
    fourth = keep(Uploads(tmp_path, max_bytes=2500), 2000)  # alone more than that, and still the newest
    assert [file.exists() for file in (*second, *third, *fourth)] == [False] * 4 + [True] * 2


def test_refused_uploads_push_out_no_other(tmp_path: Path) -> None:
    def store(uploads: Uploads) -> list[str]:
        with (tmp_path / "content").open("rb") as content:
            return uploads.store([("a.tif", content)])

    (tmp_path / "content").write_bytes(bytes(1000))
    uploads = Uploads(tmp_path, max_bytes=2500)
    good = store(uploads)
    uploads.finish(good)
    for _ in range(5):
        uploads.discard(store(uploads))
    # Fields that are being answered are not removed either.
    waiting = [store(uploads) for _ in range(3)]
    assert all((tmp_path / name).exists() for names in (good, *waiting) for name in names)
    for names in waiting:
        uploads.finish(names)
    assert [(tmp_path / names[0]).exists() for names in (good, *waiting)] == [False, False, True, True]
