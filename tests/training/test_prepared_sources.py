"""Prepared images belong to the planes that they were made of: to these files, in this place, as they were read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields import reading
from hpa_sdk.fields.picture_file import Reading, read_picture
from hpa_sdk.fields.samples import Channel
from tests.small import random_planes, write_planes
from training.data.dataset import Dataset, read_dataset
from training.data.prepared import DecodedImages, fields_to_prepare, prepare

FIELDS = 4
ROWS = np.arange(FIELDS)
LONG_AGO = 1_600_000_000 * 10**9


def make_set(folder: Path, seed: int) -> Dataset:
    """Write fields whose files have the same sizes and times, whatever the seed."""
    rng = np.random.default_rng(seed)
    for number in range(FIELDS):
        for file in write_planes(folder, f"{number:03}", random_planes(rng, side=32), ".tif").files:
            os.utime(file, ns=(LONG_AGO, LONG_AGO))
    rows = "".join(f"{number:03},{number}\n" for number in range(FIELDS))
    (folder / "train.csv").write_text(f"Id,Target\n{rows}", encoding="utf-8")
    return read_dataset(folder)


def swap(one: Path, other: Path) -> None:
    kept = one.with_suffix(".kept")
    one.rename(kept)
    other.rename(one)
    kept.rename(other)


def assert_images_of_planes(dataset: Dataset, folder: Path) -> None:
    np.testing.assert_allclose(prepare(dataset, folder)[ROWS], DecodedImages(dataset.samples)[ROWS], atol=1e-5)


def test_data_in_another_folder_has_images_of_its_own(tmp_path: Path) -> None:
    sets = [make_set(tmp_path / name, seed) for seed, name in enumerate(("one", "other"))]
    assert sets[0].fingerprint == sets[1].fingerprint
    for dataset in sets:
        assert_images_of_planes(dataset, tmp_path / "images")


def test_planes_that_are_gone_elsewhere_are_not_these(tmp_path: Path) -> None:
    one, other = (make_set(tmp_path / name, seed) for seed, name in enumerate(("one", "other")))
    prepare(one, tmp_path / "images")
    for sample in other.samples:
        for file in sample.files:
            file.unlink()
    assert fields_to_prepare(other, tmp_path / "images") == FIELDS
    with pytest.raises(PlaneError, match=f"{FIELDS} of {FIELDS} fields"):
        prepare(other, tmp_path / "images")


def test_a_link_to_the_folder_is_the_same_place(tmp_path: Path) -> None:
    path = prepare(make_set(tmp_path / "one", 1), tmp_path / "images").path
    (tmp_path / "link").symlink_to(tmp_path / "one", target_is_directory=True)
    assert prepare(read_dataset(tmp_path / "link"), tmp_path / "images").path == path


def test_fields_that_trade_their_names_are_prepared_anew(tmp_path: Path) -> None:
    dataset = make_set(tmp_path / "data", 1)
    before = prepare(dataset, tmp_path / "images")[ROWS]
    for one, other in zip(dataset.samples[0].files, dataset.samples[3].files, strict=True):
        swap(one, other)
    assert read_dataset(tmp_path / "data").fingerprint == dataset.fingerprint
    assert fields_to_prepare(dataset, tmp_path / "images") == 2
    np.testing.assert_array_equal(prepare(dataset, tmp_path / "images")[ROWS], before[[3, 1, 2, 0]])


def test_a_plane_whose_time_was_set_back_is_prepared_anew(tmp_path: Path) -> None:
    dataset = make_set(tmp_path / "data", 1)
    prepare(dataset, tmp_path / "images")
    file = dataset.samples[2].files[1]
    content = bytearray(file.read_bytes())
    content[-300:] = bytes(300)
    file.write_bytes(content)
    os.utime(file, ns=(LONG_AGO, LONG_AGO))
    assert fields_to_prepare(dataset, tmp_path / "images") == 1
    assert_images_of_planes(dataset, tmp_path / "images")


def test_a_plane_that_is_written_while_it_is_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_set(tmp_path / "data", 1)
    written = dataset.samples[1].files[2]
    other = dataset.samples[0].files[2].read_bytes()

    def read_and_write(path: Path, channel: Channel) -> Reading:
        plane = read_picture(path, channel)
        if path == written:
            written.write_bytes(other)
        return plane

    with monkeypatch.context() as writing:
        writing.setattr(reading, "read_picture", read_and_write)
        with pytest.raises(PlaneError, match=r"1 of 4 fields can't be prepared[^$]*changed while its field was read"):
            prepare(dataset, tmp_path / "images")
    assert fields_to_prepare(dataset, tmp_path / "images") == 1
    assert_images_of_planes(dataset, tmp_path / "images")


def test_a_record_of_another_form_counts_as_empty(tmp_path: Path) -> None:
    dataset = make_set(tmp_path / "data", 1)
    path = prepare(dataset, tmp_path / "images").path
    np.save(path.with_suffix(".record.npy"), np.zeros((FIELDS, 4), np.int64))
    assert fields_to_prepare(dataset, tmp_path / "images") == FIELDS
    assert_images_of_planes(dataset, tmp_path / "images")
