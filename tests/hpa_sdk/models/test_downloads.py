"""A download gives the right file or a clear error, and never half a file."""

from __future__ import annotations

import errno
import io
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest

from hpa_sdk.errors import DownloadError, HpaError, OutputError
from hpa_sdk.models.catalogue import find_model
from hpa_sdk.models.model_store import ModelStore
from tests.hpa_sdk.models.conftest import FILE, Lab
from tests.training.plane_server import (
    Answer,
    cut,
    cut_without_version,
    html,
    no_length,
    promise_less,
    promise_more,
    rest,
    status,
    whole,
    wrong_part,
)


def assert_nothing(lab: Lab) -> None:
    """Check that nothing is there that could be taken for the model, or for a part of it."""
    assert [path.name for path in lab.store.rglob("*") if path.is_file()] in ([], [".lock"])


def test_a_model_is_fetched_once(lab: Lab) -> None:
    assert lab.get() == lab.get() == lab.file
    assert lab.file.read_bytes() == lab.content
    assert len(lab.site.requests[FILE]) == 1
    assert sorted(path.name for path in lab.file.parent.iterdir()) == [
        *(".lock", "LICENCE.txt", "catalogue.toml", "small.onnx")
    ]


def test_a_cut_transfer_is_resumed_where_it_was_cut(lab: Lab) -> None:
    lab.site.answers[FILE] = [cut, rest]
    assert lab.get().read_bytes() == lab.content
    first, second = lab.site.requests[FILE]
    assert "Range" not in first
    assert second["Range"] == "bytes=1000-"
    assert second["If-Range"] == '"v1"'


@pytest.mark.parametrize(
    "answers",
    [
        [cut_without_version],
        [promise_more],
        [cut, wrong_part],
        [cut, status(416)],
        [status(503), status(429)],
        [cut, lambda handler, content: cut(handler, content, etag='"v2"')],
    ],
    ids=["no version", "short", "wrong part", "no range", "busy", "another version"],
)
def test_a_faulty_transfer_is_tried_again(lab: Lab, answers: list[Answer]) -> None:
    lab.site.answers[FILE] = list(answers)
    assert lab.get().read_bytes() == lab.content


def test_what_arrived_is_kept_for_the_next_call(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpa_sdk.models.downloads.ATTEMPTS", 1)
    lab.site.answers[FILE] = [cut, status(503)]
    with pytest.raises(DownloadError, match="503"):
        lab.get()
    assert not lab.file.exists()
    lab.site.answers[FILE] = [rest]
    assert lab.get().read_bytes() == lab.content


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (status(404), "the server answers 404"),
        (status(204), "the server answers 204"),
        (html, "the address gives a web page, not a model"),
        (lambda handler, _: handler.start(200, Content_Type="text/html; charset=utf-8", Content_Length=0), "web page"),
        (lambda handler, _: whole(handler, b"no model at all, but long enough"), "can't be used as a model"),
        (promise_less, "can't be used as a model"),
        (no_length, "does not say how long the file is"),
    ],
    ids=["missing", "empty", "page", "page by type", "no model", "truncated", "no length"],
)
def test_what_is_no_model_is_refused_and_not_kept(lab: Lab, answer: Answer, reason: str) -> None:
    lab.site.answers[FILE] = [answer]
    with pytest.raises(DownloadError, match=reason) as caught:
        lab.get()
    assert lab.site.url in str(caught.value)
    assert_nothing(lab)


def test_a_wrong_checksum_is_refused_and_not_kept(lab: Lab) -> None:
    lab.list(sha256="0" * 64)
    with pytest.raises(DownloadError, match=f"SHA-256 {lab.sha256}, and the catalogue states 0000"):
        lab.get()
    assert_nothing(lab)
    lab.list(sha256=lab.sha256)
    assert lab.get().read_bytes() == lab.content
    assert ModelStore().entry("small").pinned == "publisher"  # type: ignore[union-attr]


def test_a_wrong_size_is_refused_and_not_kept(lab: Lab) -> None:
    lab.list(size=17)
    with pytest.raises(DownloadError, match="the catalogue states 17"):
        lab.get()
    assert_nothing(lab)


def test_the_first_download_pins_the_file(lab: Lab) -> None:
    lab.get()
    assert lab.run("remove", "small").exit_code == 0
    assert not lab.file.exists()
    # Another model under the same address: a field more in its metadata.
    changed = lab.content + b"\x12\x01x"
    lab.site.answers[FILE] = [lambda handler, _: whole(handler, changed)]
    with pytest.raises(DownloadError, match="the first download had") as caught:
        lab.get()
    assert "remove --forget small" in str(caught.value)
    assert not lab.file.exists()
    assert lab.run("remove", "--forget", "small").exit_code == 0
    lab.site.answers[FILE] = [lambda handler, _: whole(handler, changed)]
    assert lab.get().read_bytes() == changed


def test_a_full_disk_is_an_error_that_keeps_what_arrived(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    class FullAfterSome(io.FileIO):
        def write(self, data: Any, /) -> int:
            if self.tell() > 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data[:1000])

    def opened(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        return FullAfterSome(path, "a") if mode == "ab" else real(path, mode, *arguments, **options)

    monkeypatch.setattr("hpa_sdk.models.downloads._CHUNK", 1000)
    with monkeypatch.context() as full:
        full.setattr(Path, "open", opened)
        with pytest.raises(OutputError, match="the disk is full"):
            lab.get()
    assert not lab.file.exists()
    assert lab.get().read_bytes() == lab.content


def test_a_folder_that_can_t_be_made_is_named(lab: Lab) -> None:
    lab.store.write_text("a file is in its way", encoding="utf-8")
    with pytest.raises(OutputError, match="no model can be stored here") as caught:
        lab.get()
    assert "HPA_MODELS" in str(caught.value)
    assert not lab.site.requests


def test_a_folder_that_is_read_only_still_serves(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.get()

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    lab.list("other")
    # The tests may run as a user whom no permission stops.
    for name in ("mkdir", "touch", "replace", "write_text", "write_bytes", "unlink"):
        monkeypatch.setattr(Path, name, refused)
    monkeypatch.setattr("filelock._api.BaseFileLock.acquire", refused)
    assert lab.get() == lab.file
    store = ModelStore()
    with pytest.raises(OutputError, match="no model can be stored here"):
        store.get("other", find_model("other", store).entry)


def test_no_network_is_no_error_when_the_file_is_here(lab: Lab) -> None:
    lab.list(address="http://127.0.0.1:9/small.onnx")
    with pytest.raises(DownloadError, match="the server can't be reached") as caught:
        lab.get()
    assert "refused" in str(caught.value)
    assert_nothing(lab)
    lab.list()
    lab.get()
    lab.list(address="http://127.0.0.1:9/small.onnx")
    assert lab.get() == lab.file


def test_a_share_gives_its_files_by_relative_paths(lab: Lab) -> None:
    share = lab.catalogue.parent / "files"
    share.mkdir()
    lab.list(address="files/small.onnx")
    with pytest.raises(DownloadError, match="the file can't be read"):
        lab.get()
    (share / "small.onnx").write_bytes(lab.content)
    assert lab.get().read_bytes() == lab.content
    assert not lab.site.requests


def get_in_process(begun: Any, results: Any) -> None:
    store = ModelStore()
    entry = find_model("small", store).entry
    begun.set()
    try:
        results.put(store.get("small", entry).read_bytes())
    except HpaError as error:
        results.put(error)


def test_processes_at_once_fetch_it_once(lab: Lab) -> None:
    def when_another_waits(handler: Any, content: bytes) -> None:
        processes[1].start()
        assert begun[1].wait(60)
        time.sleep(1)
        whole(handler, content)

    context = multiprocessing.get_context("spawn")
    results, begun = context.Queue(), [context.Event(), context.Event()]
    processes = [context.Process(target=get_in_process, args=(event, results)) for event in begun]
    lab.site.answers[FILE] = [when_another_waits]
    processes[0].start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert found == [lab.content, lab.content]
    assert len(lab.site.requests[FILE]) == 1
