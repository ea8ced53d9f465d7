"""Tests the measures of cells against scikit-image, and their pieces against SciPy."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops_table
from skimage.segmentation import clear_border

from hpa_sdk.cells.regions import cells_in_one_piece, cells_of
from tests.hpa_sdk.cells.label_images import discs


@pytest.mark.parametrize("step", [1, 3, 70_000])
def test_cells_are_measured_as_scikit_image_measures(step: int) -> None:
    labels = discs(60, step=step)
    cells = cells_of(labels, 0.5)
    expected = regionprops_table(labels, properties=("label", "bbox", "centroid", "area"))
    assert [cell.number for cell in cells] == expected["label"].tolist()
    assert [cell.area for cell in cells] == expected["area"].tolist()
    assert [cell.area_um2 for cell in cells] == (expected["area"] / 4).tolist()
    for at in range(4):
        assert [cell.box[at] for cell in cells] == expected[f"bbox-{at}"].tolist()
    for at in range(2):
        np.testing.assert_allclose([cell.centre[at] for cell in cells], expected[f"centroid-{at}"])
    inside = set(np.unique(clear_border(labels))) - {0}
    assert {cell.number for cell in cells if not cell.border} == inside


def test_a_field_without_cells_has_none() -> None:
    assert cells_of(np.zeros((20, 30), np.int32), None) == ()


def test_one_cell_over_the_whole_field() -> None:
    (cell,) = cells_of(np.full((20, 30), 7, np.int32), None)
    assert (cell.number, cell.box, cell.centre, cell.area) == (7, (0, 0, 20, 30), (9.5, 14.5), 600)
    assert cell.border
    assert cell.area_um2 is None


def test_many_cells_take_little_time() -> None:
    labels = np.kron(np.arange(1, 20_001, dtype=np.int32).reshape(100, 200), np.ones((10, 10), np.int32))
    start = time.process_time()
    cells = cells_of(labels, None)
    assert len(cells) == 20_000
    assert time.process_time() - start < 5


def test_a_label_image_of_any_layout_is_changed_in_place() -> None:
    numbers = np.array([[1, 1, 2, 2], [1, 2, 1, 2], [1, 1, 2, 2]], np.int32)
    expected = numbers.copy()
    cells = cells_in_one_piece(expected, None)
    for labels in (np.asfortranarray(numbers), np.pad(numbers, 1)[1:-1, 1:-1]):
        assert cells_in_one_piece(labels, None) == cells
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_apart_goes_to_what_is_beside_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = discs(30, side=80, radius=9, step=1 if seed % 2 else 70_000, seed=seed)
    for value in rng.choice(np.unique(labels), 20):
        row, column = rng.integers(0, 80, 2)
        labels[row : row + 2, column : column + 2] = value
    before = labels.copy()
    cells = cells_in_one_piece(labels, 0.5)
    assert cells == cells_of(labels, 0.5)
    for number in np.unique(before[before > 0]):
        pieces, count = ndimage.label(before == number)
        largest = 1 + np.bincount(pieces[pieces > 0])[1:].argmax()
        assert (labels[pieces == largest] == number).all()
        assert count > 1 or (labels == number).sum() >= (before == number).sum()
        assert ndimage.label(labels == number)[1] == 1
    for row, column in np.argwhere(labels != before):
        around = labels[max(0, row - 1) : row + 2, column], labels[row, max(0, column - 1) : column + 2]
        assert (np.concatenate(around) == labels[row, column]).sum() > 2
