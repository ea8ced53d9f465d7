"""A folder of the atlas's own pictures is a data set like any other, equal to what a download makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpa_sdk.errors import PlaneError, TableError
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Channel
from tests.pseudocoloured import COLOURS, jpeg, make_plane, pseudocolour
from tests.small import make_field, random_planes, write_planes
from tests.training.plane_server import Site, invoke, picture_at
from training.data.dataset import read_dataset, read_datasets
from training.data.prepared import DecodedImages, prepare

ROWS = ("1_a_1,Nucleoplasm;Cytosol", '2_b_2,"Rods & rings, Focal adhesions"', "3_c_3,23 0")
TARGETS = [[0, 25], [13, 27], [0, 23]]


def make_published(folder: Path, *, rows: tuple[str, ...] = ROWS, table: str = "train.csv", below: str = "") -> Path:
    """Write the pictures that the server of planes would give, with a table of their labels."""
    (folder / below).mkdir(parents=True)
    for field_id in ("1_a_1", "2_b_2", "3_c_3"):
        for channel in Channel:
            content = picture_at(f"/{field_id.replace('_', '/', 1)}_{channel}.jpg")
            (folder / below / f"{field_id}_{channel}.jpg").write_bytes(content)
    (folder / table).write_text("\n".join(["Id,Target", *rows, ""]), encoding="utf-8")
    return folder


@pytest.mark.parametrize("below", ["", "train"])
def test_local_pictures_equal_a_downloaded_data_set(site: Site, tmp_path: Path, below: str) -> None:
    published = make_published(tmp_path / "published", below=below)
    out = tmp_path / "downloaded"
    result = invoke("hpa", published / "train.csv", out, "--url", site.pattern.pattern, "--size", 0, "--rate", 500)
    assert result.exit_code == 0, result.output
    found, expected = read_dataset(published), read_dataset(out)
    assert [sample.id for sample in found.samples] == [sample.id for sample in expected.samples]
    np.testing.assert_array_equal(found.targets, expected.targets)
    assert [np.flatnonzero(target).tolist() for target in found.targets] == TARGETS
    for one, other in zip(found.samples, expected.samples, strict=True):
        assert all(file.suffix == ".jpg" for file in one.files)
        assert all(file.suffix == ".png" for file in other.files)
        np.testing.assert_array_equal(read_planes(one), read_planes(other))


def test_a_table_of_any_name_is_a_source(tmp_path: Path) -> None:
    folder = make_published(tmp_path / "atlas", table="labels.csv")
    dataset = read_dataset(folder / "labels.csv")
    assert dataset.name == "atlas/labels.csv"
    assert [np.flatnonzero(target).tolist() for target in dataset.targets] == TARGETS


def test_both_forms_are_joined_and_prepared(tmp_path: Path) -> None:
    own = tmp_path / "own"
    make_field(own, "d", np.random.default_rng(1))
    (own / "train.csv").write_text("Id,Target\nd,4\n", encoding="utf-8")
    joined = read_datasets([own, make_published(tmp_path / "atlas")])
    assert [np.flatnonzero(target).tolist() for target in joined.targets] == [[4], *TARGETS]
    rows = np.arange(4)
    decoded = DecodedImages(joined.samples)[rows]
    # The first channel of an image is the mean of red and yellow.
    red, yellow = make_plane(len("/1/a_1_red.jpg")), make_plane(len("/1/a_1_yellow.jpg") + 3)
    assert decoded[1][..., 0].mean() == pytest.approx((red.mean() + yellow.mean()) / 2 / 255, abs=0.01)
    np.testing.assert_allclose(prepare(joined, tmp_path / "images")[rows], decoded, atol=1e-5)


def test_grey_pictures_are_read_as_they_are(tmp_path: Path) -> None:
    folder = make_published(tmp_path / "atlas")
    (folder / "1_a_1_green.jpg").write_bytes(jpeg(make_plane(9)))
    write_planes(folder, "small", random_planes(np.random.default_rng(2), side=32), ".jpg")
    (folder / "train.csv").write_text("Id,Target\n1_a_1,0\nsmall,0\n", encoding="utf-8")
    mixed, small = map(read_planes, read_dataset(folder).samples)
    assert np.abs(mixed[1].astype(int) - make_plane(9)).mean() < 3
    assert np.abs(mixed[0].astype(int) - make_plane(len("/1/a_1_red.jpg"))).mean() < 3
    assert small.shape == (4, 32, 32)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2_b_2,Nucleoplasm;Cytosole", r"train\.csv: line 3 has the label 'Cytosole', which names none"),
        ('2_b_2,"Vesicles, Cytosol"', r"line 3 has the label 'Vesicles'.*or more than one"),
        ("2_b_2,Nucleoplasm;0", "line 3 has the label '0'"),
        ("2_b_2,0;25", "line 3 has the label '0;25'"),
        ("2_b_2,;", "line 3 has the label ';'"),
        ("1_a_1,Cytosol", "line 3 repeats the id 1_a_1"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    folder = make_published(tmp_path / "atlas", rows=(ROWS[0], row))
    with pytest.raises(TableError, match=message):
        read_dataset(folder)


def test_a_missing_plane_is_named(tmp_path: Path) -> None:
    folder = make_published(tmp_path / "atlas")
    dataset = read_dataset(folder)
    (folder / "2_b_2_blue.jpg").unlink()
    with pytest.raises(TableError, match=r"the field 2_b_2 has no 2_b_2_blue\.jpg"):
        read_dataset(folder)
    with pytest.raises(PlaneError, match=r"2_b_2_blue\.jpg: the blue plane is missing"):
        read_planes(dataset.samples[1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (jpeg(pseudocolour(make_plane(), [0, 1, 2])), "the pseudocolour is not green alone"),
        (jpeg(pseudocolour(make_plane(), COLOURS[Channel.RED])), "the pseudocolour is not green alone"),
        (jpeg(pseudocolour(make_plane(side=200), [1])), "200x200 pixels, which is no field"),
        (jpeg(pseudocolour(make_plane(side=400), [1])), "differ in size"),
        (jpeg(pseudocolour(make_plane(), [1]))[:2000], "can't be read"),
        (jpeg(pseudocolour(make_plane(), [1]))[:100], "can't be read"),
        (b"<!doctype html>", "no PNG, JPEG or TIFF"),
        (b"", "empty"),
    ],
)
def test_what_is_no_plane_is_named_with_its_file(tmp_path: Path, content: bytes, message: str) -> None:
    folder = make_published(tmp_path / "atlas")
    (folder / "2_b_2_green.jpg").write_bytes(content)
    dataset = read_dataset(folder)
    with pytest.raises(PlaneError, match=message) as caught:
        read_planes(dataset.samples[1])
    named = "2_b_2_red.jpg" if "differ" in message else "2_b_2_green.jpg"
    assert Path(str(caught.value.where)).name == named
    with pytest.raises(PlaneError, match=f"1 of 3 fields(?s:.)*2_b_2: .*{named}.*{message}"):
        prepare(dataset, tmp_path / "images")
