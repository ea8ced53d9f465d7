"""Prepared images are the preprocessed ones, never stale, and no kill, full disk or second process spoils them."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock

from hpa_sdk.errors import OutputError, PlaneError
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.preprocessing import Preprocessing
from tests.small import make_field, random_planes, write_planes
from training.__main__ import main
from training.data.dataset import Dataset, read_dataset
from training.data.prepared import (
    DecodedImages,
    ImageSource,
    PreparedImages,
    PreparedImagesError,
    fields_to_prepare,
    prepare,
    prepared_folder,
)
from training.data.prepared_files import PreparedFiles

FLUSH = 64  # fields that are written between two entries in the record
MANY = 3 * FLUSH
FLUSHES = [(1, MANY), (2, MANY), (3, MANY), (4, 2 * FLUSH), (5, 2 * FLUSH), (6, FLUSH), (7, FLUSH)]
"""The flushes to the disk, the first file's start and then images and record in turn; and the fields left before."""


def make_set(folder: Path, count: int, extension: str = ".png") -> Dataset:
    rng = np.random.default_rng(count)
    for number in range(count):
        write_planes(folder, f"{number:03}", random_planes(rng, side=32), extension)
    rows = "".join(f"{number:03},{number % 28}\n" for number in range(count))
    (folder / "train.csv").write_text(f"Id,Target\n{rows}", encoding="utf-8")
    return read_dataset(folder)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of as many fields as need several flushes."""
    folder = tmp_path_factory.mktemp("data") / "many"
    make_set(folder, MANY)
    return folder


@pytest.fixture(scope="module")
def undisturbed(many: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of images that a build makes when nothing stops it."""
    return prepare(read_dataset(many), tmp_path_factory.mktemp("undisturbed")).path.read_bytes()


def start_build(data: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "training", "prepare", str(data), "--folder", str(folder)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8")


def names(folder: Path) -> list[str]:
    return sorted(file.name.partition(".")[2] for file in folder.iterdir())


FINISHED = ["lock", "npy", "record.npy"]


# --- what is read ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("form", ["prepared", "decoded"])
def test_images_are_the_preprocessed_planes_of_the_rows(simulated: Path, tmp_path: Path, form: str) -> None:
    dataset = read_dataset(simulated)
    source: ImageSource = prepare(dataset, tmp_path) if form == "prepared" else DecodedImages(dataset.samples)
    rows = np.array([3, 0, 3, 17])
    found = source[rows]
    expected = [Preprocessing()(read_planes(dataset.samples[row])) for row in rows]
    assert len(source) == len(dataset.samples)
    assert type(found) is np.ndarray
    assert found.dtype == np.float32
    assert found.shape == (4, 299, 299, 3)
    assert np.abs(found - np.stack(expected)).max() <= 1e-5
    assert source[rows[:0]].shape == (0, 299, 299, 3)


def test_white_and_black_are_kept_exactly(tmp_path: Path) -> None:
    dataset = make_set(tmp_path, 2)
    for sample, level in zip(dataset.samples, (0, 255), strict=True):
        write_planes(tmp_path, sample.id, np.full((4, 32, 32), level, np.uint8))
    black, white = prepare(dataset, tmp_path / "images")[np.arange(2)]
    assert (black.min(), black.max()) == (0, 0)
    np.testing.assert_allclose(white, np.broadcast_to([1, 1, 0.5], white.shape), atol=1e-5)
    assert white.max() <= 1


def test_no_plane_is_read_once_the_images_are_prepared(tmp_path: Path) -> None:
    dataset = make_set(tmp_path, 5)
    images = prepare(dataset, prepared_folder(tmp_path))
    before = images[np.arange(5)]
    for file in tmp_path.glob("*.png"):
        file.unlink()
    np.testing.assert_array_equal(images[np.arange(5)], before)
    assert fields_to_prepare(dataset, prepared_folder(tmp_path)) == 0
    np.testing.assert_array_equal(prepare(dataset, prepared_folder(tmp_path))[np.arange(5)], before)


@pytest.mark.parametrize("keep", [0, 100, 10**6])
def test_a_damaged_file_of_images_is_named(tmp_path: Path, keep: int) -> None:
    dataset = make_set(tmp_path, 3)
    path = prepare(dataset, tmp_path).path
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(PreparedImagesError, match=r"Delete the file") as caught:
        prepare(dataset, tmp_path)
    assert caught.value.where == str(path)
    path.unlink()
    assert len(prepare(dataset, tmp_path)) == 3


# --- what makes them stale ------------------------------------------------------------------------------------------


def test_other_labels_planes_or_preprocessing_have_another_file(tmp_path: Path) -> None:
    paths = [prepare(make_set(tmp_path, 3), tmp_path).path]
    table = tmp_path / "train.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("000,0", "000,5"), encoding="utf-8")
    paths.append(prepare(read_dataset(tmp_path), tmp_path).path)
    make_field(tmp_path, "001", np.random.default_rng(9), side=33)
    changed = read_dataset(tmp_path)
    paths.append(prepare(changed, tmp_path).path)
    np.testing.assert_allclose(
        PreparedImages(paths[2])[np.arange(3)], DecodedImages(changed.samples)[np.arange(3)], atol=1e-5
    )
    paths.append(PreparedFiles.of(changed, tmp_path, Preprocessing(scale=254)).images)
    assert len(set(paths)) == 4


def test_a_changed_plane_of_the_same_size_is_prepared_again(tmp_path: Path) -> None:
    dataset = make_set(tmp_path, 3, ".tif")
    before = prepare(dataset, tmp_path)[np.arange(3)]
    for one, other in zip(dataset.samples[0].files, dataset.samples[2].files, strict=True):
        one.replace(one.with_suffix(".kept"))
        shutil.copyfile(other, one)
        one.with_suffix(".kept").replace(other)
    assert read_dataset(tmp_path).fingerprint == dataset.fingerprint
    assert fields_to_prepare(dataset, tmp_path) == 2
    np.testing.assert_array_equal(prepare(dataset, tmp_path)[np.arange(3)], before[::-1])
    assert fields_to_prepare(dataset, tmp_path) == 0


# --- what may happen to a build -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("flush", "left"), FLUSHES)
def test_a_killed_build_resumes_where_it_was(
    many: Path, tmp_path: Path, undisturbed: bytes, flush: int, left: int
) -> None:
    command = [sys.executable, "-m", "tests.training.paused_build", str(many), str(tmp_path), str(flush)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as build:
        assert build.stdout is not None
        assert build.stdout.readline() == "held\n"
        build.kill()
    assert build.returncode != 0
    dataset = read_dataset(many)
    assert fields_to_prepare(dataset, tmp_path) == left
    assert prepare(dataset, tmp_path).path.read_bytes() == undisturbed
    assert names(tmp_path) == FINISHED


def test_fields_recorded_as_prepared_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_set(tmp_path, FLUSH + 6)
    expected = DecodedImages(dataset.samples)[np.arange(FLUSH + 6)]
    fail_at_flush(monkeypatch, 4)
    with pytest.raises(OutputError):
        prepare(dataset, tmp_path / "images")
    monkeypatch.undo()
    for sample in dataset.samples[:FLUSH]:
        sample.files[0].unlink()
    assert fields_to_prepare(dataset, tmp_path / "images") == 6
    found = prepare(dataset, tmp_path / "images")[np.arange(FLUSH + 6)]
    assert np.abs(found - expected).max() <= 1e-5


def fail_at_flush(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the disk be full at one of the flushes: the first file's start, then images and record in turn."""
    flush, flushes = os.fsync, iter(range(1, 1000))

    def full(file: int) -> None:
        if next(flushes) >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(file)

    monkeypatch.setattr(os, "fsync", full)


@pytest.mark.slow
@pytest.mark.parametrize(("flush", "left"), FLUSHES)
def test_a_full_disk_is_reported_and_recorded_fields_stay(
    many: Path, tmp_path: Path, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch, flush: int, left: int
) -> None:
    dataset = read_dataset(many)
    fail_at_flush(monkeypatch, flush)
    with pytest.raises(OutputError, match=r"full|No space"):
        prepare(dataset, tmp_path)
    monkeypatch.undo()
    assert fields_to_prepare(dataset, tmp_path) == left
    assert prepare(dataset, tmp_path).path.read_bytes() == undisturbed


def test_too_little_space_is_reported_before_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_set(tmp_path, 3)
    total = 3 * 299 * 299 * 3 * 2
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, total - 1))
    with pytest.raises(OutputError, match=r"need 1\.61MB more and 1\.61MB are free") as caught:
        prepare(dataset, tmp_path / "images")
    assert caught.value.where == str(tmp_path / "images")
    assert names(tmp_path / "images") == ["lock"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, total))
    assert len(prepare(dataset, tmp_path / "images")) == 3


def test_a_folder_that_can_t_be_made_is_named(tmp_path: Path) -> None:
    dataset = make_set(tmp_path, 1)
    with pytest.raises(OutputError, match="can't be written"):
        prepare(dataset, tmp_path / "train.csv" / "images")


@pytest.mark.slow
def test_two_builders_at_once_make_one_whole_file(many: Path, tmp_path: Path, undisturbed: bytes) -> None:
    builds = [start_build(many, tmp_path) for _ in range(2)]
    outputs = [build.communicate()[1] for build in builds]
    assert [build.returncode for build in builds] == [0, 0], outputs
    (path,) = (file for file in tmp_path.glob("*.npy") if "record" not in file.name)
    assert path.read_bytes() == undisturbed
    assert names(tmp_path) == FINISHED


@pytest.mark.slow
def test_a_builder_says_that_it_waits_and_for_what(many: Path, tmp_path: Path) -> None:
    files = PreparedFiles.of(read_dataset(many), tmp_path)
    with FileLock(files.lock):
        build = start_build(many, tmp_path)
        assert build.stderr is not None
        assert "another process prepares the same images" in build.stderr.readline()
        assert not files.partial.exists()
    build.communicate()
    assert build.returncode == 0
    assert len(PreparedImages(files.images)) == MANY


def test_unreadable_fields_are_named_and_the_others_prepared(tmp_path: Path) -> None:
    make_set(tmp_path, 6)
    whole = (tmp_path / "002_green.png").read_bytes()
    (tmp_path / "002_green.png").write_bytes(whole[:200])
    (tmp_path / "004_red.png").write_bytes(b"")
    dataset = read_dataset(tmp_path)
    with pytest.raises(PlaneError, match="2 of 6 fields") as caught:
        prepare(dataset, tmp_path / "images")
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:3]] == ["002", "004"]
    assert "002_green.png" in str(caught.value)
    assert "the file is empty" in str(caught.value)
    assert fields_to_prepare(dataset, tmp_path / "images") == 2
    assert "npy" not in names(tmp_path / "images")
    for name in ("002_green.png", "004_red.png"):
        (tmp_path / name).write_bytes(whole)
    found = prepare(dataset, tmp_path / "images")[np.arange(6)]
    assert np.abs(found - DecodedImages(dataset.samples)[np.arange(6)]).max() <= 1e-5


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_prepares_next_to_the_table_and_reports(tmp_path: Path) -> None:
    data = tmp_path / "Zellkerne-é-細胞"
    dataset = make_set(data, 4)
    first = CliRunner().invoke(main, ["prepare", str(data), "--workers", "2"], catch_exceptions=False)
    second = CliRunner().invoke(main, ["prepare", str(data / "train.csv")], catch_exceptions=False)
    (path,) = (file for file in (data / ".prepared").glob("*.npy") if "record" not in file.name)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert f"{path}: 4 fields, 2.15MB; 4 of them prepared now" in first.stderr
    assert "fields/s" in first.stderr
    assert "0 of them prepared now" in second.stderr
    assert np.abs(PreparedImages(path)[np.arange(4)] - DecodedImages(dataset.samples)[np.arange(4)]).max() <= 1e-5


def test_the_command_names_a_bad_field_and_exits_with_2(tmp_path: Path) -> None:
    make_set(tmp_path, 2)
    (tmp_path / "001_blue.png").write_bytes(b"x")
    result = CliRunner().invoke(main, ["prepare", str(tmp_path)])
    assert result.exit_code == 2
    assert "001: " in result.stderr
