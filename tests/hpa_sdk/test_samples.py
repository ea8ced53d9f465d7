"""Samples are found by stem, by file, in folders and in tables."""

from pathlib import Path

import pytest

from hpa_sdk.errors import HpaError, SampleError, TableError
from hpa_sdk.samples import Channel, find_samples


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
def test_a_folder_gives_its_samples_sorted_whatever_the_format(tmp_path: Path, extension: str) -> None:
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


@pytest.mark.parametrize("text", ["", "id\na\n", "Id\n", "Id,Target\n,3\n", "Id\n\udcff\n"])
def test_a_table_without_ids_is_refused(tmp_path: Path, text: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(TableError, match=r"t\.csv"):
        list(find_samples(table))
