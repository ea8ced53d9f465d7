"""Fields in an archive give what they give on a disk, through slow, failing and lying servers."""

from __future__ import annotations

import csv
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import fsspec
import numpy as np
import pytest

from hpa_sdk import HpaError, Predictor, Sample
from hpa_sdk.errors import SampleError
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.remote import archive
from hpa_sdk.fields.remote.archive import is_address
from hpa_sdk.fields.remote.fields import find_remote_samples
from tests.hpa_sdk.batch.runs import RESUMED, predict
from tests.hpa_sdk.remote.web_server import Server, Trouble
from tests.object_stores import bucket
from tests.small import write_planes


def none(*_: object) -> bool:
    return False


def test_a_web_server_s_fields_are_those_of_the_folder(
    serve: Callable[[Trouble], str], fields: list[Sample], model: Path, tmp_path: Path
) -> None:
    found = list(find_remote_samples(serve(none)))
    assert [sample.id for sample in found] == [sample.id for sample in fields]
    for remote, local in zip(found, fields, strict=True):
        assert (read_planes(remote) == read_planes(local)).all()
    (one,) = find_remote_samples(f"{serve(none)}field-3_blue.png")
    assert (read_planes(one) == read_planes(fields[3])).all()
    predict(model, address := serve(none), "-o", tmp_path / "remote.csv", *RESUMED)
    predict(model, folder := fields[0].files[0].parent, "-o", tmp_path / "local.csv", "--device", "cpu")
    answered, alike = (
        list(csv.DictReader((tmp_path / name).read_text(encoding="utf-8").splitlines()))
        for name in ("remote.csv", "local.csv")
    )
    for row, expected in zip(answered, alike, strict=True):
        files = [Path(file) for file in expected["files"].split(";")]
        assert row.pop("files").split(";") == [f"{address}{file.name}" for file in files]
        contents = [file.read_bytes() for file in files]
        stamps = [f"{len(content)} - - - {hashlib.sha256(content).hexdigest()}" for content in contents]
        assert row.pop("stamps").split(";") == stamps
        assert row == {name: value for name, value in expected.items() if name in row}
        assert all(file.parent == folder for file in files)


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


def pour(part: bytes, *, pause: float = 0, listing: bool = False) -> Trouble:
    """Send planes, or the listing of a folder, that never end."""

    def endless(server: Server, name: str, times: int) -> bool:  # noqa: ARG001
        if bool(name) == listing:
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
        elsewhere = ("127.0.0.1:1/plates/a_red.png", "[/a_red.png", "127.0.0.1:port/a_red.png")
        beside = ("../a_red.png", "/a_red.png", "./../plates/../a_red.png", "file:///a_red.png", "javascript:a_red.png")
        answer_with_links(server, *(f"http://{link}" for link in elsewhere), *beside)
        return True

    with pytest.raises(HpaError, match="holds no sample"):
        list(find_remote_samples(f"{serve(lie)}plates/"))


def answer_with_links(server: Server, *links: str) -> None:
    server.send_response(200)
    server.send_header("Content-Type", "text/html")
    server.end_headers()
    server.wfile.write("".join(f'<a href="{link}">x</a>' for link in links).encode())


@pytest.mark.slow
@pytest.mark.parametrize("names", [1, 60_000], ids=["ever deeper", "ever more"])
def test_a_listing_that_always_names_more_folders_is_left(serve: Callable[[Trouble], str], names: int) -> None:
    def name_more(server: Server, name: str, times: int) -> bool:  # noqa: ARG001
        # It ends at some time, so that a client that follows it all is detected.
        answer_with_links(server, *(f"{number}/" for number in range(names) if server.asked[""] < 100))
        return True

    with pytest.raises(SampleError, match="more folders than are searched"):
        list(find_remote_samples(serve(name_more), recursive=True))


def test_a_listing_without_end_is_cut_off(serve: Callable[[Trouble], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGEST_LISTING", 2_000_000)
    link = b'<a href="a_red.png">x</a>'
    with pytest.raises(SampleError, match=r"can't be listed \(it is longer than the 2,000,000 bytes"):
        list(find_remote_samples(serve(pour(link * 1000, listing=True))))


def test_names_are_read_as_the_files_have_them(serve: Callable[[Trouble], str], fields: list[Sample]) -> None:
    folder, name = fields[0].files[0].parent, "Zelle ö 1 & 50%"
    below = folder / "Platte ü"
    below.mkdir()
    for file in fields[0].files:
        file.rename(below / file.name.replace("field-0", name))
    server = serve(none)
    listed = [sample.id for sample in find_remote_samples(server, recursive=True)]
    assert listed == [*(sample.id for sample in fields[1:]), f"Platte ü/{name}"]
    sources = []
    for address in (
        f"{server}Platte ü",
        f"{server}{quote(below.name)}/",
        f"{server}{quote(f'Platte ü/{name}_red.png')}",
    ):
        (sample,) = find_remote_samples(address)
        assert sample.id == name
        assert read_planes(sample).any()
        sources.append(str(sample.source))
    assert len(set(sources)) == 1  # the same place in a ledger, however it was named


def test_a_message_names_the_address_as_it_is(serve: Callable[[Trouble], str], fields: list[Sample]) -> None:
    write_planes(fields[0].files[0].parent, "field-1", np.zeros((4, 32, 32), np.uint8))
    fields[1].files[0].write_bytes(fields[0].files[0].read_bytes())  # larger than the other three
    server = serve(none)
    with pytest.raises(HpaError, match=f"{re.escape(server)}field-1_red.png: "):
        read_planes(list(find_remote_samples(server))[1])


def test_a_disk_of_windows_is_no_address() -> None:
    assert [is_address(path) for path in ("C://data", "a/s3://b", "s3://b", "HTTPS://b")] == [False, False, True, True]


def test_an_outage_of_some_seconds_fails_no_field(
    serve: Callable[[Trouble], str], fields: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.undo()  # the waits as they are
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=waits.append))

    def fail_for_twenty_seconds(server: Server, name: str, times: int) -> bool:  # noqa: ARG001
        if name and sum(waits) < 20:
            server.send_error(503)
            return True
        return False

    sample = next(find_remote_samples(serve(fail_for_twenty_seconds)))
    assert (read_planes(sample) == read_planes(fields[0])).all()
    assert waits[0] >= 1
    assert max(waits) < archive.LONGEST_WAIT + 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_a_server_refuses_is_not_asked_for_again(serve: Callable[[Trouble], str], status: int) -> None:
    kinds: list[type[Server]] = []

    def refuse(server: Server, name: str, times: int) -> bool:  # noqa: ARG001
        kinds.append(type(server))
        if name:
            server.send_error(status)
        return bool(name)

    sample = next(find_remote_samples(serve(refuse)))
    with pytest.raises(HpaError, match="plane"):
        read_planes(sample)
    assert kinds[0].asked["field-0_red.png"] == 1


def test_a_server_that_fails_for_a_moment_changes_no_field(
    serve: Callable[[Trouble], str], model: Path, tmp_path: Path
) -> None:
    failing: set[str] = set()

    def fail_some(server: Server, name: str, times: int) -> bool:  # noqa: ARG001
        if name not in failing:
            return False
        if server.command == "GET":  # what is asked for a stamp where HEAD did not do
            failing.discard(name)
        server.send_error(503)
        return True

    address, out = serve(fail_some), tmp_path / "out.csv"
    run = (model, address, "-o", out, *RESUMED)
    failing |= {"field-1_red.png", "field-3_blue.png"}
    assert predict(*run).exit_code == 0
    expected = out.read_bytes()
    for name in ("field-2_green.png", "field-4_yellow.png"):
        failing.add(name)
        result = predict(*run)
        assert result.exit_code == 0
        assert "5 answers stood in the ledger; 0 fields had changed" in result.stderr
        assert not failing
    assert out.read_bytes() == expected


def test_an_answer_whose_planes_were_unreadable_is_repeated(
    serve: Callable[[Trouble], str], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = (model, serve(none), "-o", tmp_path / "out.csv", *RESUMED)
    info = archive.Archive._info

    def forbid(self: archive.Archive, address: str) -> Any:
        if "field-2" in address:
            raise PermissionError(address)
        return info(self, address)

    with monkeypatch.context() as patch:
        patch.setattr(archive.Archive, "_info", forbid)
        assert predict(*run).exit_code == 0
        assert "4 answers stood in the ledger; 0 fields had changed" in predict(*run).stderr
    assert "4 answers stood in the ledger; 0 fields had changed" in predict(*run).stderr
    assert "5 answers stood in the ledger; 0 fields had changed" in predict(*run).stderr


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/", "nonsense://x/y", "http://127.0.0.1:9/picture.png"])
def test_an_address_that_leads_nowhere_is_reported(
    address: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "LONGEST_WAIT", 0.01)
    result = predict(model, address, "-o", tmp_path / "out.csv")
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_unusable_store_credentials_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gcsfs")
    (tmp_path / "key.json").write_text("no key", encoding="utf-8")
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": str(tmp_path / "key.json")})
    archive._filesystem.cache_clear()
    with pytest.raises(HpaError, match=r"gs:// can't be opened.*who you are"):
        next(find_remote_samples("gs://plates"))


@pytest.fixture(params=["s3", "gs"])
def plates(request: pytest.FixtureRequest, fields: list[Sample]) -> Iterator[str]:
    """Yield the address of a folder with the fields, the last of them in a folder below."""
    with bucket(request.param) as address:
        files: Any = fsspec.filesystem(request.param)
        for sample in fields:
            for file in sample.files:
                files.pipe(f"{address}/one/{'below/' * (sample.id == 'field-4')}{file.name}", file.read_bytes())
        files.invalidate_cache()
        yield f"{address}/one"


@pytest.mark.slow
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
    assert "1 field had changed" in result.stderr
