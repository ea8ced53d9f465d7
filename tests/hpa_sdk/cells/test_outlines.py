"""Tests outlines against shapely and scikit-image."""

from __future__ import annotations

import time

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import shapely
from skimage.color import rgb2lab
from skimage.draw import polygon2mask
from skimage.measure import label

from hpa_sdk.cells.cell import Segmentation
from hpa_sdk.cells.outlines import MOST_POINTS, colour_of, from_wkt, outline_of, outlines_of, to_wkt
from hpa_sdk.cells.regions import cells_of
from hpa_sdk.labels import HPA_2018
from tests.hpa_sdk.cells.label_images import grid


def _blobs(seed: int, side: int = 128) -> npt.NDArray[np.int32]:
    noise = np.random.default_rng(seed).random((side, side)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    mask = smooth > np.median(smooth)
    return label(mask, connectivity=2).astype(np.int32)  # type: ignore[no-any-return]


def _filled(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    holes = label(~np.pad(mask, 1), connectivity=1)
    return (holes != holes[0, 0])[1:-1, 1:-1]  # type: ignore[no-any-return]


@pytest.mark.parametrize("seed", range(3))
def test_an_exact_outline_encloses_the_pixels_of_its_cell(seed: int) -> None:
    labels = _blobs(seed)
    for cell in cells_of(labels, None):
        (piece,) = outline_of(labels, cell, tolerance=0)
        assert shapely.Polygon(piece).is_valid
        # Centres of pixels; polygon2mask takes rows and columns.
        inside = polygon2mask(labels.shape, piece[:, ::-1] - 0.5)
        np.testing.assert_array_equal(inside, _filled(labels == cell.number))


@pytest.mark.parametrize("seed", range(3))
def test_pixels_that_touch_at_corners_make_no_crossing(seed: int) -> None:
    noise = np.random.default_rng(seed).random((24, 24)) < 0.5
    labels = label(noise, connectivity=2).astype(np.int32)
    for cell in cells_of(labels, None):
        for tolerance in (0, 0.75):
            (piece,) = outline_of(labels, cell, tolerance=tolerance)
            assert shapely.Polygon(piece).is_valid


@pytest.mark.parametrize("seed", range(3))
def test_a_simplified_outline_is_near_and_never_crosses_itself(seed: int) -> None:
    labels = _blobs(seed)
    cells = cells_of(labels, None)
    points = exact_points = 0
    for cell in cells:
        (piece,), (pixels,) = outline_of(labels, cell, most=10_000), outline_of(labels, cell, tolerance=0)
        polygon, exact = shapely.Polygon(piece), shapely.Polygon(pixels)
        assert polygon.is_valid
        assert polygon.hausdorff_distance(exact) <= 0.75
        points, exact_points = points + len(piece), exact_points + len(pixels)
        (short,) = outline_of(labels, cell)
        assert shapely.Polygon(short).is_valid
        assert len(short) <= max(MOST_POINTS, len(piece))
    assert points < exact_points / 2


@pytest.mark.parametrize("seed", range(20))
def test_pieces_of_a_cell_stay_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.random((60, 60)).astype(np.float32), (0, 0), 0.5 + seed % 4)
    labels = (noise > np.quantile(noise, rng.uniform(0.4, 0.9))).astype(np.int32)
    (cell,) = cells_of(labels, None)
    for tolerance, most in ((0.75, MOST_POINTS), (1.0, 40)):
        pieces = outline_of(labels, cell, tolerance=tolerance, most=most)
        shape = shapely.MultiPolygon([shapely.Polygon(piece) for piece in pieces])
        assert shape.is_valid, shapely.is_valid_reason(shape)
        assert len(pieces) == len({*np.unique(label(_filled(labels > 0), connectivity=2))} - {0})


def test_squares_single_pixels_and_pieces() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[3:7, 10:20], labels[30, 30], labels[39, 39] = 5, 6, 6
    square, pixels = (outline_of(labels, cell) for cell in cells_of(labels, None))
    assert sorted(map(tuple, square[0])) == [(10, 3), (10, 7), (20, 3), (20, 7)]
    assert [shapely.Polygon(piece).bounds for piece in pixels] in (
        [(30, 30, 31, 31), (39, 39, 40, 40)],
        [(39, 39, 40, 40), (30, 30, 31, 31)],
    )


def test_outlines_are_well_known_text() -> None:
    far = np.array([[1_234_567.5, 0], [1_234_570, 0], [1_234_570, 2.5]])
    np.testing.assert_array_equal(from_wkt(to_wkt((far,)))[0], far)
    labels = _blobs(4)
    labels[labels == 2] = 1  # one cell in several pieces
    for cell in cells_of(labels, None):
        pieces = outline_of(labels, cell)
        shape = shapely.from_wkt(to_wkt(pieces))
        assert shape.equals(shapely.union_all([shapely.Polygon(piece) for piece in pieces]))
        for piece, again in zip(pieces, from_wkt(to_wkt(pieces)), strict=True):
            np.testing.assert_array_equal(piece, again)
    for text in ("", "POINT (1 2)", "POLYGON ((1 2, x 3))", "POLYGON ((1 2, 3 4))) ((0 1, 2 3))"):
        with pytest.raises(ValueError, match="no outline"):
            from_wkt(text)


def test_long_outlines_have_few_points() -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((600, 600), np.int32)
    for at in range(0, 600, 4):
        labels[at : at + 4, : 300 + int(rng.integers(0, 250))] = 1
    (cell,) = cells_of(labels, None)
    (piece,) = outline_of(labels, cell)
    assert len(piece) <= MOST_POINTS
    assert shapely.Polygon(piece).is_valid


def test_thousands_of_cells_take_seconds() -> None:
    labels = grid(side=2048, cells=60, gap=8)
    cells = cells_of(labels, None)
    start = time.process_time()
    found = list(outlines_of(Segmentation(labels=labels, cells=cells, pixel_size=None, source="grid")))
    assert len(found) == 3600
    assert time.process_time() - start < 10


def test_classes_have_colours_of_their_own() -> None:
    colours = np.array([[colour_of(at) for at in range(len(HPA_2018))]]) / 255
    lab = rgb2lab(colours)[0]
    distances = np.linalg.norm(lab[:, None] - lab, axis=-1)[~np.eye(len(lab), dtype=bool)]
    assert distances.min() > 20  # a difference of 2.3 can just be seen
    assert lab[:, 0].min() > 45
