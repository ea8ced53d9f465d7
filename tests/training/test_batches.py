"""Batches are drawn and augmented as in the study."""

from pathlib import Path

import numpy as np
import pytest

from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Sample
from hpa_sdk.preprocessing import Preprocessing
from tests.small import make_field
from training.data.augmentation import VIEWS, AugmentationName, dihedral_and_intensity, study_view, view
from training.data.batches import FieldBatches
from training.data.prepared import DecodedImages


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    folder: Path = tmp_path_factory.mktemp("fields")
    rng = np.random.default_rng(0)
    return tuple(make_field(folder, f"{number}", rng) for number in range(6))


TARGETS = np.eye(6, 28, dtype=np.float32)


def batches(samples: tuple[Sample, ...], *, seed: int = 0, augmentation: AugmentationName = "none") -> FieldBatches:
    return FieldBatches(DecodedImages(samples), TARGETS, batch_size=4, steps=3, augmentation=augmentation, seed=seed)


def test_a_batch_holds_fields_with_their_own_labels(samples: tuple[Sample, ...]) -> None:
    images, targets = batches(samples)[0]
    assert images.shape == (4, 299, 299, 3)
    assert images.dtype == targets.dtype == np.float32
    for image, target in zip(images, targets, strict=True):
        np.testing.assert_array_equal(image, Preprocessing()(read_planes(samples[int(target.argmax())])))


@pytest.mark.slow
def test_fields_are_drawn_evenly_with_replacement(samples: tuple[Sample, ...]) -> None:
    images = DecodedImages(samples)
    many = FieldBatches(images, TARGETS, batch_size=300, steps=1, augmentation="none", seed=1)
    drawn = many[0][1].sum(axis=0)[:6]
    assert drawn.sum() == 300
    assert drawn.min() > 25
    assert drawn.max() < 80


@pytest.mark.slow
def test_fields_can_be_drawn_unevenly_or_never(samples: tuple[Sample, ...]) -> None:
    shares = np.array([0, 0.75, 0, 0.25, 0, 0])
    many = FieldBatches(
        DecodedImages(samples), TARGETS, batch_size=400, steps=1, augmentation="none", seed=1, probabilities=shares
    )
    np.testing.assert_allclose(many[0][1].mean(axis=0)[:6], shares, atol=0.07)


def test_the_same_seed_gives_the_same_batches_in_any_order(samples: tuple[Sample, ...]) -> None:
    first, second = batches(samples, augmentation="study"), batches(samples, augmentation="study")
    last_first = [second[step] for step in (2, 1, 0)][::-1]
    for step in range(3):
        for found, expected in zip(last_first[step], first[step], strict=True):
            np.testing.assert_array_equal(found, expected)
    assert len(first) == 3


def test_steps_epochs_and_seeds_differ(samples: tuple[Sample, ...]) -> None:
    some = batches(samples)
    before = [some[0][1], some[1][1], batches(samples, seed=1)[0][1]]
    some.begin_epoch(1)
    labels = [tuple(targets.argmax(axis=1)) for targets in (*before, some[0][1])]
    assert len(set(labels)) == 4


def test_the_study_s_five_views_come_evenly_and_never_none() -> None:
    image = np.random.default_rng(0).random((5, 5, 3)).astype(np.float32)
    views = [image[:, ::-1], image[::-1], *(np.rot90(image, turns) for turns in (1, 2, 3))]
    rng = np.random.default_rng(1)
    counts = [0] * 5
    for _ in range(1000):
        found = study_view(image, rng)
        (at,) = [at for at, view in enumerate(views) if np.array_equal(found, view)]
        counts[at] += 1
    assert min(counts) > 150


def test_the_eight_views_are_the_eight_symmetries_of_a_square() -> None:
    image = np.random.default_rng(0).random((5, 5, 3)).astype(np.float32)
    views = [view(image, number) for number in range(VIEWS)]
    expected = [np.rot90(turned, turns) for turned in (image, image[:, ::-1]) for turns in range(4)]
    for found, other in zip(views, expected, strict=True):
        np.testing.assert_array_equal(found, other)
    assert len({found.tobytes() for found in views}) == VIEWS
    np.testing.assert_array_equal(view(image[np.newaxis], 5)[0], views[5])


def test_intensity_changes_by_colour_within_bounds() -> None:
    image = np.full((4, 4, 3), 0.5, np.float32)
    rng = np.random.default_rng(0)
    seen = np.array([dihedral_and_intensity(image, rng)[0, 0] for _ in range(300)])
    assert seen.dtype == np.float32
    assert 0.476 <= seen.min() < 0.477
    assert 0.524 < seen.max() <= 0.5251
    assert np.abs(np.corrcoef(seen.T) - np.eye(3)).max() < 0.2
    assert dihedral_and_intensity(np.ones((4, 4, 3), np.float32), rng).max() <= 1
