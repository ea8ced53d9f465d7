"""Fields in an archive give what they give on a disk, through slow, failing and lying servers."""

from __future__ import annotations

import csv
import functools
import http.server
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec
import pytest

from hpa_sdk import HpaError, Predictor, Sample
from hpa_sdk.planes import read_planes
from hpa_sdk.remote import archive
from hpa_sdk.remote.fields import find_remote_samples
from tests.hpa_sdk.batch.runs import RESUMED, predict
from tests.object_stores import bucket

Trouble = Callable[["Server", str, int], bool]


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, with whatever trouble a test wants."""

    asked: Counter[str]
    trouble: Trouble

    def do_GET(self) -> None:
        name = unquote(self.path).rpartition("/")[2]
        self.asked[name] += 1
        if not type(self).trouble(self, name, self.asked[name]):
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


def none(*_: object) -> bool:
    return False


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


def test_a_web_server_s_fields_are_those_of_the_folder(
    serve: Callable[[Trouble], str], fields: list[Sample], model: Path, tmp_path: Path
) -> None:
    found = list(find_remote_samples(serve(none)))
    assert [sample.id for sample in found] == [sample.id for sample in fields]
    for remote, local in zip(found, fields, strict=True):
        assert (read_planes(remote) == read_planes(local)).all()
    (one,) = find_remote_samples(f"{serve(none)}field-3_blue.png")
    assert (read_planes(one) == read_planes(fields[3])).all()
    predict(model, serve(none), "-o", tmp_path / "remote.csv", *RESUMED)
    predict(model, fields[0].files[0].parent, "-o", tmp_path / "local.csv", "--device", "cpu")
    assert (tmp_path / "remote.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()


def test_failing_answers_are_asked_for_again(serve: Callable[[Trouble], str], fields: list[Sample]) -> None:
    def fail_twice(server: Server, name: str, times: int) -> bool:
        if times > 2:
            return False
        if "green" in name:  # breaks off in the middle
            server.send_response(200)
            server.send_header("Content-Length", "100000")
            server.end_headers()
            server.wfile.write(b"\x89PNG")
            server.close_connection = True
        else:
            server.send_error(503)
        return True

    found = list(find_remote_samples(serve(fail_twice)))
    assert (read_planes(found[1]) == read_planes(fields[1])).all()


def test_what_stays_broken_is_one_failure_and_costs_no_other(
    serve: Callable[[Trouble], str], model: Path, tmp_path: Path
) -> None:
    def break_some(server: Server, name: str, times: int) -> bool:  # noqa: ARG001
        status = {"field-1_red.png": 500, "field-2_red.png": 404}.get(name)
        if status:
            server.send_error(status)
        return bool(status)

    out = tmp_path / "out.csv"
    assert predict(model, serve(break_some), "-o", out, "--device", "cpu").exit_code == 1
    errors = [row["error"] for row in csv.DictReader(out.read_text(encoding="utf-8").splitlines())]
    assert [bool(error) for error in errors] == [False, True, True, False, False]
    assert "can't be fetched" in errors[1]
    assert "field-1_red.png" in errors[1]
    assert "the red plane is missing" in errors[2]


def pour(part: bytes, *, pause: float = 0) -> Trouble:
    """Send planes that never end."""

    def endless(server: Server, name: str, times: int) -> bool:  # noqa: ARG001
        if not name:
            return False
        server.send_response(200)
        server.end_headers()
        try:
            while True:
                server.wfile.write(part)
                time.sleep(pause)
        except OSError:
            return True

    return endless


def test_a_file_without_end_is_cut_off(serve: Callable[[Trouble], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGEST_FILE", 2_000_000)
    sample = next(find_remote_samples(serve(pour(b"\0" * 100_000))))
    with pytest.raises(HpaError, match="longer than the 2,000,000 bytes"):
        read_planes(sample)


def test_a_server_that_drips_is_left_in_time(serve: Callable[[Trouble], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LONGEST_FETCH", 0.1)
    monkeypatch.setattr(archive, "ATTEMPTS", 2)
    with pytest.raises(HpaError, match="took longer"):
        read_planes(next(find_remote_samples(serve(pour(b"\0", pause=0.02)))))


def test_a_listing_that_names_other_places_is_not_followed(serve: Callable[[Trouble], str]) -> None:
    def lie(server: Server, name: str, times: int) -> bool:  # noqa: ARG001
        if name:
            return False
        page = "".join(
            f'<a href="{link}">x</a>'
            for link in ("http://127.0.0.1:1/a_red.png", "../a_red.png", "/etc/a_red.png", "file:///a_red.png")
        )
        server.send_response(200)
        server.send_header("Content-Type", "text/html")
        server.end_headers()
        server.wfile.write(page.encode())
        return True

    with pytest.raises(HpaError, match="holds no sample"):
        list(find_remote_samples(serve(lie)))


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/", "nonsense://x/y", "http://127.0.0.1:9/picture.png"])
def test_an_address_that_leads_nowhere_is_told(
    address: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "LONGEST_WAIT", 0.01)
    result = predict(model, address, "-o", tmp_path / "out.csv")
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_a_store_that_can_t_know_who_asks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gcsfs")
    (tmp_path / "key.json").write_text("no key", encoding="utf-8")
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": str(tmp_path / "key.json")})
    archive._filesystem.cache_clear()
    with pytest.raises(HpaError, match=r"gs:// can't be opened.*who you are"):
        next(find_remote_samples("gs://plates"))


@pytest.fixture(params=["s3", "gs"])
def plates(request: pytest.FixtureRequest, fields: list[Sample]) -> Iterator[str]:
    """Give the address of a folder with the fields, the last of them in a folder below."""
    with bucket(request.param) as address:
        files: Any = fsspec.filesystem(request.param)
        for sample in fields:
            for file in sample.files:
                files.pipe(f"{address}/one/{'below/' * (sample.id == 'field-4')}{file.name}", file.read_bytes())
        files.invalidate_cache()
        yield f"{address}/one"


def test_an_object_store_s_fields_are_those_of_the_folder(
    plates: str, fields: list[Sample], model: Path, tmp_path: Path
) -> None:
    assert [sample.id for sample in find_remote_samples(plates)] == [sample.id for sample in fields[:4]]
    found = list(find_remote_samples(plates, recursive=True))
    assert [sample.id for sample in found] == [*(sample.id for sample in fields[:4]), "below/field-4"]
    expected = Predictor.load(model, device="cpu").predict(fields)
    for answer, alike in zip(Predictor.load(model, device="cpu").predict(found), expected, strict=True):
        assert (answer.probabilities == alike.probabilities).all()
    for _ in range(2):
        result = predict(model, plates, "-r", "-o", tmp_path / "out.csv", *RESUMED)
    assert "5 answers stood in the ledger" in result.stderr
    protocol = plates.partition("://")[0]
    fsspec.filesystem(protocol).pipe(f"{plates}/field-1_red.png", fields[0].files[0].read_bytes())
    archive._filesystem(protocol).invalidate_cache()
    result = predict(model, plates, "-r", "-o", tmp_path / "out.csv", *RESUMED)
    assert "1 fields had changed" in result.stderr
