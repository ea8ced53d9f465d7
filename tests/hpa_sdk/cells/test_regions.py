"""Tests the measures of cells against scikit-image."""

from __future__ import annotations

import time

import numpy as np
import pytest
from skimage.measure import regionprops_table
from skimage.segmentation import clear_border

from hpa_sdk.cells.regions import cells_of
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
