"""The competition set arrives in the Kaggle form through kagglehub, and each refusal says what to do."""

from __future__ import annotations

import csv
import threading
import zipfile
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from hpa_sdk.errors import DownloadError
from tests.small import make_field
from tests.training.plane_server import Handler, Site, invoke, whole
from training.data.dataset import read_dataset
from training.download import kaggle

# They have no types.
kagglehub: Any = import_module("kagglehub")
kagglehub_errors: Any = import_module("kagglehub.exceptions")
kaggle_env: Any = import_module("kagglesdk.kaggle_env")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three fields in the forms in which kagglehub's cache may hold them, and no way to Kaggle but this."""
    folder = tmp_path / "cache"
    rng = np.random.default_rng(5)
    for sample_id in ("a", "b", "c"):
        make_field(folder / "train", sample_id, rng, side=512)
    (folder / "train.csv").write_text("Id,Target\na,16 0\nb,7 1 2 0\nc,5\n", encoding="utf-8")
    monkeypatch.setattr(kaggle, "FIELDS", 3)

    def fetch(competition: str, path: str | None = None) -> str:
        assert competition == "human-protein-atlas-image-classification"
        if path is not None and not (folder / path).exists():
            raise kagglehub_errors.KaggleApiHTTPError("404 Client Error.", response=answer_of(404))
        return str(folder / (path or ""))

    monkeypatch.setattr(kagglehub, "competition_download", fetch)
    return folder


def answer_of(code: int) -> requests.Response:
    response = requests.Response()
    response.status_code = code
    return response


def pack(cache: Path) -> None:
    with zipfile.ZipFile(cache / "train.zip", "w") as archive:
        for file in sorted((cache / "train").iterdir()):
            archive.write(file, file.name)
        archive.writestr("../escaped_red.png", b"x")


@pytest.mark.parametrize("packed", [True, False])
def test_the_kaggle_set_arrives_in_the_kaggle_form(cache: Path, tmp_path: Path, packed: bool) -> None:
    if packed:
        pack(cache)
    out = tmp_path / "neue Daten" / "kaggle"
    result = invoke("kaggle", out)
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("Fetching train.zip of the Kaggle set: 14 GB")
    assert not result.stdout
    assert (out / "train.csv").read_bytes() == (cache / "train.csv").read_bytes()
    dataset = read_dataset(out)
    assert len(dataset.samples) == 3
    for sample in dataset.samples:
        for file in sample.files:
            original = cache / "train" / file.name
            assert file.read_bytes() == original.read_bytes()
            assert file.samefile(original) == (not packed)
    assert sorted(file.name for file in out.parent.iterdir()) == ["kaggle"]


def test_planes_are_copied_where_they_can_t_be_linked(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert kaggle.download_kaggle(tmp_path / "out") == ()
    copied = tmp_path / "out" / "train" / "a_red.png"
    assert copied.read_bytes() == (cache / "train" / "a_red.png").read_bytes()
    assert not copied.samefile(cache / "train" / "a_red.png")


def test_fields_with_bad_planes_are_named_and_left_out(cache: Path, tmp_path: Path) -> None:
    (cache / "train" / "a_red.png").unlink()
    (cache / "train" / "a_blue.png").write_bytes(b"")
    (cache / "train" / "b_green.png").write_bytes((cache / "train" / "b_green.png").read_bytes()[:5000])
    out = tmp_path / "out"
    result = invoke("kaggle", out)
    assert result.exit_code == 1
    assert "3 planes are missing or damaged" in result.stderr
    assert (out / "train.csv").read_text(encoding="utf-8") == "Id,Target\nc,5\n"
    with (out / "failures.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["id"], row["channel"], row["reason"]) for row in csv.DictReader(file)]
    assert rows[:2] == [("a", "red", "the plane is missing"), ("a", "blue", "the file is empty")]
    assert rows[2][:2] == ("b", "green")


def test_planes_of_another_size_are_named(cache: Path, tmp_path: Path) -> None:
    make_field(cache / "train", "c", np.random.default_rng(0), side=256)
    failures = kaggle.download_kaggle(tmp_path / "out")
    assert {failure.reason for failure in failures} == {"the plane is 256x256 uint8, not 512x512 uint8"}
    assert {failure.id for failure in failures} == {"c"}


def test_a_damaged_member_of_the_archive_costs_its_field_alone(cache: Path, tmp_path: Path) -> None:
    pack(cache)
    archive = cache / "train.zip"
    content = bytearray(archive.read_bytes())
    middle = content.index(b"b_red.png") + 5000
    content[middle : middle + 50] = bytes(50)
    archive.write_bytes(content)
    (failure,) = kaggle.download_kaggle(tmp_path / "out")
    assert (failure.id, failure.channel) == ("b", "red")


def test_an_archive_that_is_none_is_named(cache: Path, tmp_path: Path) -> None:
    (cache / "train.zip").write_bytes(b"<html>")
    with pytest.raises(DownloadError, match="not a zip file"):
        kaggle.download_kaggle(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_set_of_another_length_is_refused(cache: Path, tmp_path: Path) -> None:
    (cache / "train.csv").write_text("Id,Target\na,16 0\n", encoding="utf-8")
    with pytest.raises(DownloadError, match="lists 1 fields, not 3"):
        kaggle.download_kaggle(tmp_path / "out")


def test_a_folder_that_holds_something_is_left_alone(cache: Path, tmp_path: Path) -> None:
    assert cache.is_dir()
    result = invoke("kaggle", tmp_path)
    assert result.exit_code == 2
    assert "there is something already" in result.stderr


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (kagglehub_errors.UnauthenticatedError(), ("no Kaggle API token", "https://www.kaggle.com/settings/api")),
        (
            kagglehub_errors.KaggleApiHTTPError("401", response=answer_of(401)),
            ("does not take the API token", "settings/api"),
        ),
        (
            kagglehub_errors.KaggleApiHTTPError("403", response=answer_of(403)),
            ("rules", "image-classification/rules, and run again"),
        ),
        (
            kagglehub_errors.KaggleApiHTTPError("500", response=answer_of(500)),
            ("Kaggle answers 500", "Run again later"),
        ),
        (requests.ConnectionError("no route"), ("the transfer from Kaggle failed (no route)", "Check the network")),
        (requests.Timeout("read timed out"), ("read timed out", "what has arrived is not fetched again")),
        (OSError(28, "No space left on device"), ("the disk is full", "KAGGLEHUB_CACHE")),
        (kagglehub_errors.DataCorruptionError("MD5"), ("kagglehub failed (MD5)", "Run again")),
        (ValueError("Invalid Kaggle credentials file"), ("Invalid Kaggle credentials file", "check the API token")),
    ],
)
def test_each_refusal_of_kaggle_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, parts: tuple[str, str]
) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr(kagglehub, "competition_download", refuse)
    result = invoke("kaggle", tmp_path / "out")
    assert result.exit_code == 2
    assert all(part in result.stderr for part in parts), result.stderr
    assert not (tmp_path / "out").exists()


class KaggleHandler(Handler):
    """Answers as Kaggle's competition service does, with files of a folder."""

    folder: Path

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.site.requests[self.path].append({"asked": asked, **dict(self.headers.items())})
        name = next((name for name in ("train.csv", "train.zip") if name in asked), None)
        file = self.folder / str(name)
        if "Bearer good" not in self.headers["Authorization"]:
            self.start(403, Content_Length=0)
        elif file.is_file():
            whole(self, file.read_bytes())
        else:
            self.start(404, Content_Length=0)


@pytest.fixture
def kaggle_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server at the address that kagglehub itself keeps for tests, moved to a port that is free."""
    site = Site()
    handler = type("OwnHandler", (KaggleHandler,), {"site": site, "folder": tmp_path / "kaggle"})
    for name, value in (
        ("KAGGLE_API_ENVIRONMENT", "TEST"),
        ("KAGGLE_API_TOKEN", "good"),
        ("KAGGLEHUB_CACHE", str(tmp_path / "hub")),
        ("NO_PROXY", "127.0.0.1"),
    ):
        monkeypatch.setenv(name, value)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.TEST, address)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.usefixtures("kaggle_site")
def test_kagglehub_itself_fetches_the_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kaggle"
    make_field(folder / "train", "a", np.random.default_rng(5), side=512)
    (folder / "train.csv").write_text("Id,Target\na,16 0\n", encoding="utf-8")
    pack(folder)
    monkeypatch.setattr(kaggle, "FIELDS", 1)
    assert kaggle.download_kaggle(tmp_path / "out") == ()
    assert len(read_dataset(tmp_path / "out").samples) == 1


@pytest.mark.usefixtures("kaggle_site")
def test_kagglehub_itself_is_refused_without_the_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "of somebody else")
    with pytest.raises(DownloadError, match="the rules of the competition are not accepted"):
        kaggle.download_kaggle(tmp_path / "out")
