"""The planes of an answer from an archive lay there together, or the answer says that nobody can tell."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from hpa_sdk import HpaError, Sample
from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.remote import archive
from hpa_sdk.fields.remote.fields import find_remote_samples
from hpa_sdk.results.results_file import read_results
from tests.hpa_sdk.batch.runs import RESUMED, predict
from tests.hpa_sdk.remote.web_server import Server, Trouble
from tests.object_stores import bucket

CHANGED = "the field was changed while it was read"
UNCHECKED = "whether it was changed while it was read is unknown"

Serve = Callable[[Trouble], str]


def first(address: str) -> Sample:
    return next(find_remote_samples(address))


def other_plane(file: Path, other: Path) -> None:
    """Replace a plane, with another time but the same one every time."""
    aside = file.with_name("aside")
    aside.write_bytes(other.read_bytes())
    os.utime(aside, (1.6e9, 1.6e9))
    aside.replace(file)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_plane_replaced_before_the_last_is_noticed(serve: Serve, fields: list[Sample], channel: int) -> None:
    def replace_early(server: Server, name: str, times: int) -> bool:
        if name == "field-0_yellow.png" and server.command == "GET" and times == 1:
            other_plane(fields[0].files[channel], fields[1].files[channel])
        return False

    with pytest.raises(PlaneError, match=CHANGED):
        read_field(first(serve(replace_early)))


def test_a_plane_that_is_gone_again_is_noticed(serve: Serve, fields: list[Sample]) -> None:
    def remove(server: Server, name: str, times: int) -> bool:
        if name == "field-0_yellow.png" and server.command == "GET" and times == 1:
            fields[0].files[0].unlink()
        return False

    with pytest.raises(PlaneError, match=CHANGED):
        read_field(first(serve(remove)))


def test_a_change_and_its_reversal_are_noticed(serve: Serve, fields: list[Sample], model: Path, tmp_path: Path) -> None:
    """With --resume, the state before and after is the same, and what was read in between is another one."""
    file = fields[0].files[0]
    aside = file.rename(file.with_name("own"))
    other_plane(file, fields[1].files[0])

    def swap(server: Server, name: str, times: int) -> bool:  # noqa: ARG001
        if name == file.name:
            for source in (aside,) if server.command == "HEAD" else (fields[1].files[0],):
                file.unlink()
                os.link(source, file)
        return False

    assert predict(model, serve(swap), "-o", tmp_path / "out.csv", *RESUMED).exit_code == 1
    bad, *good = read_results(tmp_path / "out.csv")
    assert CHANGED in str(bad.error)
    assert all(result.error is None for result in good)


def test_a_server_that_fails_for_a_moment_gives_no_alarm(serve: Serve, fields: list[Sample]) -> None:
    failed = set()

    def fail_once(server: Server, name: str, times: int) -> bool:  # noqa: ARG001
        if not name or (server.command, name) in failed:
            return False
        failed.add((server.command, name))
        server.send_error(503)
        return True

    read = read_field(first(serve(fail_once)))
    assert (read.planes == read_field(fields[0]).planes).all()
    assert read.notes == ()


def test_a_server_that_fails_afterwards_is_spoken_of(serve: Serve, fields: list[Sample]) -> None:
    read: set[str] = set()

    def fail_afterwards(server: Server, name: str, times: int) -> bool:  # noqa: ARG001
        if name and name in read:
            server.send_error(503)
            return True
        read.add(name)
        return False

    field = read_field(first(serve(fail_afterwards)))
    assert (field.planes == read_field(fields[0]).planes).all()
    assert UNCHECKED in "; ".join(field.notes)


def tells_size_only(server: Server, name: str, times: int) -> bool:  # noqa: ARG001
    if not name:
        return False
    content = Path(server.translate_path(server.path)).read_bytes()
    server.send_response(200)
    server.send_header("Content-Length", str(len(content)))
    server.end_headers()
    if server.command == "GET":
        with contextlib.suppress(OSError):
            server.wfile.write(content)
    return True


def test_an_archive_without_time_or_checksum_is_read_again(serve: Serve, model: Path, tmp_path: Path) -> None:
    address = serve(tells_size_only)
    assert archive.Archive(address).stamp(f"{address}field-0_red.png") is None
    for _ in range(2):
        result = predict(model, address, "-o", tmp_path / "out.csv", *RESUMED)
        assert result.exit_code == 0
        assert result.stderr.count("neither their time nor their checksum") == 1
        assert "answers stood in the ledger" not in result.stderr
    assert all(UNCHECKED in "; ".join(row.notes) for row in read_results(tmp_path / "out.csv"))


def test_requests_of_a_field_are_counted(serve: Serve) -> None:
    asked: list[tuple[str, str]] = []

    def count(server: Server, name: str, times: int) -> bool:  # noqa: ARG001
        asked.append((server.command, name))
        return False

    sample = first(serve(count))
    asked.clear()
    read_field(sample)
    assert len(asked) == 8
    assert [command for command, _ in asked] == ["GET"] * 4 + ["HEAD"] * 4


@pytest.mark.parametrize("protocol", ["s3", "gs"])
def test_a_change_in_an_object_store_is_noticed(
    protocol: str, fields: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    with bucket(protocol) as address:  # type: ignore[arg-type]
        writer = fsspec.get_filesystem_class(protocol)(skip_instance_cache=True)
        for file in fields[0].files:
            writer.pipe(f"{address}/{file.name}", file.read_bytes())
        sample = first(address)
        assert (read_field(sample).planes == read_field(fields[0]).planes).all()
        fetch = archive.Archive.fetch

        def change_red(self: archive.Archive, name: str) -> object:
            if name.endswith("_yellow.png"):
                writer.pipe(f"{address}/{fields[0].files[0].name}", fields[1].files[0].read_bytes())
            return fetch(self, name)

        monkeypatch.setattr(archive.Archive, "fetch", change_red)
        with pytest.raises(HpaError, match=CHANGED):
            read_field(sample)


def test_no_listing_of_an_object_store_is_cached(fields: list[Sample], model: Path, tmp_path: Path) -> None:
    """Another process changes a plane, and adds a field: the next run of this one sees both."""
    with bucket("s3") as address:
        writer = fsspec.get_filesystem_class("s3")(skip_instance_cache=True)

        def put(sample: Sample, content: Sample) -> None:
            for file, other in zip(sample.files, content.files, strict=True):
                writer.pipe(f"{address}/one/{file.name}", other.read_bytes())

        put(fields[0], fields[0])
        run = (model, f"{address}/one", "-o", tmp_path / "out.csv", *RESUMED)
        assert predict(*run).exit_code == 0
        (before,) = read_results(tmp_path / "out.csv")
        put(fields[0], fields[1])
        put(fields[2], fields[2])
        assert "1 field had changed" in predict(*run).stderr
        after, added = read_results(tmp_path / "out.csv")
        assert before.probabilities != after.probabilities
        assert added.id == "field-2"
