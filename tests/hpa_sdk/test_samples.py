"""Samples are found by stem, by file, in folders and in tables."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hpa_sdk import Failure, Prediction, Predictor
from hpa_sdk.errors import HpaError, PlaneError, SampleError, TableError
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.samples import Channel
from tests.small import random_planes, write_planes


def touch_field(folder: Path, sample_id: str, extension: str = ".png") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{sample_id}_{channel}{extension}" for channel in Channel]
    for file in files:
        file.touch()
    return files


def test_a_stem_and_each_of_the_four_files_mean_the_same_sample(tmp_path: Path) -> None:
    files = touch_field(tmp_path, "0007.a")
    for path in (tmp_path / "0007.a", *files):
        (sample,) = find_samples(path)
        assert sample.id == "0007.a"
        assert list(sample.files) == files


def test_names_in_capitals_mean_the_same_by_folder_stem_and_file(tmp_path: Path) -> None:
    files = []
    for channel in Channel:
        files.append(tmp_path / f"a_{str(channel).upper()}.PNG")
        files[-1].touch()
    for path in (tmp_path, tmp_path / "a", *files):
        (sample,) = find_samples(path)
        assert sample.files == tuple(files)


@pytest.mark.parametrize("extension", [".png", ".tif", ".tiff", ".jpg", ".jpeg", ".PNG"])
def test_a_folder_gives_its_samples_sorted_for_every_format(tmp_path: Path, extension: str) -> None:
    for sample_id in ("b", "a", "c_1"):
        touch_field(tmp_path, sample_id, extension)
    (tmp_path / "notes.txt").touch()
    assert [sample.id for sample in find_samples(tmp_path)] == ["a", "b", "c_1"]
    assert all(file.exists() for sample in find_samples(tmp_path) for file in sample.files)


def test_a_missing_channel_is_named_as_it_was_expected(tmp_path: Path) -> None:
    files = touch_field(tmp_path, "x", ".tif")
    files[1].unlink()
    for path in (tmp_path, tmp_path / "x", files[2]):
        (sample,) = find_samples(path)
        assert list(sample.files) == files


def test_of_two_formats_png_counts(tmp_path: Path) -> None:
    touch_field(tmp_path, "x", ".jpg")
    files = touch_field(tmp_path, "x", ".png")
    for path in (tmp_path, tmp_path / "x"):
        (sample,) = find_samples(path)
        assert list(sample.files) == files


def test_folders_below_are_searched_on_request_only(tmp_path: Path) -> None:
    touch_field(tmp_path / "plate 2", "x")
    touch_field(tmp_path / "plate 1" / "well ö", "x")
    assert [sample.id for sample in find_samples(tmp_path, recursive=True)] == ["plate 1/well ö/x", "plate 2/x"]
    with pytest.raises(SampleError, match="recursive"):
        list(find_samples(tmp_path))


def test_a_table_gives_its_ids_in_its_own_order(tmp_path: Path) -> None:
    files = {sample_id: touch_field(tmp_path / "train", sample_id) for sample_id in ("b", "a")}
    table = tmp_path / "train.csv"
    table.write_text("Id,Target\nb,1 2\na,0\ngone,0\n", encoding="utf-8")
    found = list(find_samples(table, root=tmp_path / "train"))
    assert [sample.id for sample in found] == ["b", "a", "gone"]
    assert list(found[0].files) == files["b"]
    assert found[2].files[0] == tmp_path / "train" / "gone_red.png"


def test_a_table_looks_in_train_or_beside_itself_by_default(tmp_path: Path) -> None:
    files = touch_field(tmp_path, "a")
    (tmp_path / "t.csv").write_text("Id\na\n", encoding="utf-8")
    (sample,) = find_samples(tmp_path / "t.csv")
    assert list(sample.files) == files
    files = touch_field(tmp_path / "train", "a")
    (sample,) = find_samples(tmp_path / "t.csv")
    assert list(sample.files) == files


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "no sample lies here"),
        ("gone_red.png", "no such file"),
        ("picture.png", "does not end with a channel"),
        ("x_purple.png", "does not end with a channel"),
        ("gone.csv", "can't be read"),
        ("empty", "the folder holds no sample"),
    ],
)
def test_a_path_that_leads_nowhere_is_an_error_that_names_it(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture.png").touch()
    with pytest.raises(HpaError, match=message) as caught:
        list(find_samples(tmp_path / name))
    assert caught.value.where == str(tmp_path / name)
    assert caught.value.remedy.endswith(".")


@pytest.mark.parametrize("text", ["", "name\na\n", "Id\n"])
def test_a_table_without_ids_is_refused(tmp_path: Path, text: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(TableError, match=r"t\.csv"):
        list(find_samples(table))


def both_formats(folder: Path, *extensions: str) -> dict[str, npt.NDArray[Any]]:
    """Write one field in several formats, each with pixels of its own."""
    planes = {extension: random_planes(np.random.default_rng(at)) for at, extension in enumerate(extensions)}
    for extension in extensions:
        write_planes(folder, "field", planes[extension], extension)
    return planes


@pytest.mark.parametrize("way", ["folder", "stem", "table"])
def test_a_field_has_one_format(tmp_path: Path, way: str) -> None:
    planes = both_formats(tmp_path, ".tif", ".png")
    (tmp_path / "ids.csv").write_text("Id\nfield\n", encoding="utf-8")
    path = {"folder": tmp_path, "stem": tmp_path / "field", "table": tmp_path / "ids.csv"}[way]
    (sample,) = find_samples(path)
    read = read_field(sample)
    np.testing.assert_array_equal(read.planes, planes[".tif"])
    assert read.notes == ("its planes lie there in PNG too: TIFF was taken",)
    (tmp_path / "field_blue.png").unlink()
    for left in range(3):  # a preview of some of its planes
        (sample,) = find_samples(path)
        read = read_field(sample)
        np.testing.assert_array_equal(read.planes, planes[".tif"], err_msg=str(left))
        assert not read.notes
        (tmp_path / f"field_{('red', 'green', 'yellow')[left]}.png").unlink()


def test_the_format_of_a_file_that_is_named_is_meant(tmp_path: Path) -> None:
    planes = both_formats(tmp_path, ".tif", ".png")
    for extension in (".tif", ".png"):
        (sample,) = find_samples(tmp_path / f"field_green{extension}")
        np.testing.assert_array_equal(read_field(sample).planes, planes[extension])
    (tmp_path / "field_blue.tif").unlink()
    (sample,) = find_samples(tmp_path / "field_green.tif")
    with pytest.raises(PlaneError, match=r"field_blue.tif: the blue plane is missing"):
        read_field(sample)


@pytest.mark.parametrize("way", ["folder", "stem", "table"])
def test_planes_of_two_formats_are_no_field(tmp_path: Path, way: str, model: Path) -> None:
    both_formats(tmp_path, ".tif", ".png")
    write_planes(tmp_path, "other", random_planes(np.random.default_rng(5)))
    for name in ("field_red.tif", "field_blue.png"):
        (tmp_path / name).unlink()
    (tmp_path / "ids.csv").write_text("Id\nfield\n", encoding="utf-8")
    path = {"folder": tmp_path, "stem": tmp_path / "field", "table": tmp_path / "ids.csv"}[way]
    failed, *others = Predictor.load(model, device="cpu").predict(path, on_error="yield")
    assert isinstance(failed, Failure)
    assert "in several formats, and in none of them all (field_blue.tif, field_green.png," in failed.error.what
    assert all(isinstance(other, Prediction) for other in others)
    assert len(others) == (way == "folder")


@pytest.mark.skipif(sys.platform == "win32", reason="names differ in more than capitals there")
@pytest.mark.parametrize("twin", ["field_RED.png", "field_red.tiff"])
def test_two_files_for_one_plane_are_refused(tmp_path: Path, twin: str) -> None:
    planes = random_planes(np.random.default_rng(0))
    write_planes(tmp_path, "field", planes, ".png" if twin.endswith("png") else ".tif")
    Image.fromarray(planes[1]).save(tmp_path / twin)
    (sample,) = find_samples(tmp_path)
    with pytest.raises(SampleError, match="two files are its red plane"):
        read_field(sample)
