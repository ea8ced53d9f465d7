"""A split parts all fields, keeps the classes' shares where it is stratified, and names a class that a part lacks."""

import logging

import numpy as np
import numpy.typing as npt
import pytest

from hpa_sdk.labels import Label
from training.data.split import STUDY_SHARE, SplitName, split, study_split
from training.errors import RunError


def draw(fields: int = 1000) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(2)
    targets = (rng.random((fields, len(Label))) < np.geomspace(0.4, 0.01, len(Label))).astype(np.float32)
    targets[:, Label.NUCLEOPLASM] = np.maximum(targets[:, Label.NUCLEOPLASM], targets.sum(axis=1) == 0)
    return targets


@pytest.mark.parametrize("name", ["study", "stratified"])
def test_each_field_is_in_one_part_and_always_the_same(name: SplitName) -> None:
    targets = draw()
    parts = split(targets, name)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(targets)))
    for found, again in zip(parts, split(targets, name), strict=True):
        np.testing.assert_array_equal(found, again)


def test_a_stratified_split_keeps_each_class_s_share() -> None:
    targets = draw()
    _, validation = split(targets, "stratified")
    expected = STUDY_SHARE * targets.sum(axis=0)
    assert np.abs(targets[validation].sum(axis=0) - expected).max() <= 1 + 0.05 * expected.max()
    assert targets[validation].sum(axis=0).min() >= 1


@pytest.mark.parametrize("name", ["study", "stratified"])
def test_one_field_is_not_parted(name: SplitName) -> None:
    with pytest.raises(RunError, match=r"1 labelled field can't be split.*Label at least 2"):
        split(draw(1), name)
    assert [len(part) for part in split(draw(2), name)] == [1, 1]


def test_a_class_that_a_part_lacks_is_named(caplog: pytest.LogCaptureFixture) -> None:
    targets = np.zeros((10, len(Label)), np.float32)
    targets[:, Label.CYTOSOL] = 1
    targets[3, Label.RODS_AND_RINGS] = 1
    training, _ = split(targets, "study")
    lacking = "validation" if 3 in training else "training"
    assert caplog.messages == [f"The {lacking} part has no field of: Rods & rings."]
    assert caplog.records[0].levelno == logging.WARNING


def test_old_fields_have_the_parts_of_a_split_of_their_own() -> None:
    targets = np.ones((45, 28), np.float32)
    training, validation = split(targets, "study", (15, 30))
    for found, new, old in zip((training, validation), study_split(15), study_split(30), strict=True):
        np.testing.assert_array_equal(found, [*new, *(old + 15)])
