"""What lies in folders is found by one rule: by predict, watch, tables and the API."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from hpa_sdk import Predictor
from hpa_sdk.errors import PlaneError, SampleError
from hpa_sdk.fields.finding import count_samples, find_samples
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.samples import Channel
from hpa_sdk.fields.stack_samples import find_fields
from tests.hpa_sdk.batch.runs import predict
from tests.small import random_planes, write_planes

Form = Literal["NFC", "NFD"]
RNG = np.random.default_rng(3)
ANY = FieldRules.of(recursive=True)


def write(folder: Path, name: str, extension: str = ".png") -> np.ndarray:
    planes = random_planes(RNG)
    write_planes(folder, name, planes, extension)
    return planes


def ids(folder: Path, *, recursive: bool = True) -> list[str]:
    """Find the ids of a folder in every way, which have to be the same."""
    found = [sample.id for sample in find_samples(folder, recursive=recursive)]
    rules = FieldRules.of(recursive=recursive)
    assert [sample.id for sample in find_samples(folder, recursive=recursive, rules=rules)] == found
    assert sorted(sample.id for sample in find_fields(rules, folder)) == sorted(found)
    assert count_samples(folder, recursive=recursive) == len(found)
    return found


HIDDEN = [
    ".snapshot",
    ".Trash-1000",
    "__MACOSX",
    "@eaDir",
    "$RECYCLE.BIN",
    "lost+found",
    ".ipynb_checkpoints",
    "#recycle",
]


@pytest.mark.parametrize("name", HIDDEN)
def test_folders_of_systems_are_no_data(tmp_path: Path, name: str) -> None:
    write(tmp_path / "day1", "f1")
    write(tmp_path / name / "day1", "f1")
    write(tmp_path / "day1" / name, "f1")
    assert ids(tmp_path) == ["day1/f1"]
    # A named file is read, even with an unusual name.
    assert [sample.id for sample in find_samples(tmp_path / name, recursive=True)] == ["day1/f1"]


def test_companions_of_a_mac_are_no_data(tmp_path: Path, model: Path) -> None:
    write(tmp_path, "f1")
    for channel in Channel:
        (tmp_path / f"._f1_{channel}.png").write_bytes(b"\0\5\x16\7" + bytes(80))
    assert ids(tmp_path, recursive=False) == ["f1"]
    result = predict(model, tmp_path, "-o", tmp_path / "out.csv", "--device", "cpu")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("name", ["f1_blue_red_green.jpg", "f1_red_green.png", "f1_thumb_red.png", "f1_selected.jpg"])
def test_composites_and_previews_are_no_fields(tmp_path: Path, name: str) -> None:
    write(tmp_path, "f1")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / name)
    write(tmp_path / "thumbnails", "f1")
    assert ids(tmp_path) == ["f1"]


@pytest.mark.parametrize("disk", ["NFC", "NFD"])
@pytest.mark.parametrize("typed", ["NFC", "NFD"])
@pytest.mark.parametrize("way", ["folder", "stem", "file", "table", "folder below"])
def test_both_forms_of_an_accent_are_one_name(tmp_path: Path, disk: Form, typed: Form, way: str) -> None:
    on_disk = unicodedata.normalize(disk, "Präparat é1")
    name = unicodedata.normalize(typed, on_disk)
    folder = tmp_path / on_disk
    planes = write(folder, on_disk)
    (tmp_path / "ids.csv").write_text(f"Id\n{name}/{name}\n", encoding="utf-8")
    path = {
        "folder": folder,
        "stem": folder / name,
        "file": tmp_path / name / f"{name}_red.png",
        "table": tmp_path / "ids.csv",
        "folder below": tmp_path / name,
    }[way]
    (sample,) = find_samples(path)
    assert sample.id.rpartition("/")[2] == unicodedata.normalize("NFC", on_disk)
    np.testing.assert_array_equal(read_planes(sample), planes)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_linked_folders_are_followed_once_and_without_loops(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a", "f1")
    write(tmp_path / "elsewhere", "f2")
    (tmp_path / "data" / "loop").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data" / "a")
    (tmp_path / "data" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path)
    assert ids(tmp_path / "data") == ["a/f1", "out/f2"]


@pytest.mark.parametrize("bare", [False, True], ids=["with the colour", "bare"])
@pytest.mark.parametrize("recursive", [False, True])
def test_a_folder_for_each_colour_is_one_field(tmp_path: Path, bare: bool, recursive: bool) -> None:
    expected = {}
    for name in ("a", "b"):
        expected[name] = random_planes(RNG)
        for channel, plane in zip(Channel, expected[name], strict=True):
            folder = tmp_path / channel
            folder.mkdir(exist_ok=True)
            Image.fromarray(plane).save(folder / (f"{name}.png" if bare else f"{name}_{channel}.png"))
    found = {sample.id: sample for sample in find_samples(tmp_path, recursive=recursive)}
    assert sorted(found) == ["a", "b"]
    assert count_samples(tmp_path, recursive=recursive) == 2
    for name, planes in expected.items():
        np.testing.assert_array_equal(read_planes(found[name]), planes)
    next((tmp_path / "green").glob("b*")).unlink()
    with pytest.raises(PlaneError, match="green plane is missing"):
        read_planes({sample.id: sample for sample in find_samples(tmp_path, recursive=True)}["b"])


def test_a_folder_named_like_a_colour_can_hold_whole_fields(tmp_path: Path) -> None:
    planes = write(tmp_path / "green", "f1")
    (sample,) = find_samples(tmp_path, recursive=True)
    assert sample.id == "green/f1"
    np.testing.assert_array_equal(read_planes(sample), planes)


def test_a_folder_for_each_z_is_reported(tmp_path: Path, model: Path) -> None:
    for name in ("z00", "z01"):
        write(tmp_path / name, "f1")
    first, second = Predictor.load(model, device="cpu").predict(tmp_path, recursive=True)
    assert (first.id, second.id) == ("z00/f1", "z01/f1")
    assert "named like a z plane (z00)" in first.notes[0]


def test_stray_stacks_beside_planes_are_reported(tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "f1")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "overview.tif")
    (prediction,) = Predictor.load(model, device="cpu").predict(tmp_path)
    assert prediction.id == "f1"
    assert "not read are 1 files that are no planes by colour, such as overview.tif" in caplog.text


def test_planes_and_a_stack_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "f1", ".tif")
    write(tmp_path, "f2", ".tif")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "f1.tif")
    found = {sample.id: sample for sample in find_samples(tmp_path, rules=FieldRules())}
    assert sorted(found) == ["f1", "f2"]
    with pytest.raises(SampleError, match=r"as planes and as a stack \(f1.tif, f1_blue.tif"):
        read_planes(found["f1"])
    assert read_planes(found["f2"]).shape == (4, 64, 64)
