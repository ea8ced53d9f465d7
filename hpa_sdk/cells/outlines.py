"""Traces the outlines of cells as polygons with few points, for pictures, pages and other programs."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.cell import Cell, Segmentation

Polygon = npt.NDArray[np.float64]
"""float64 of shape (points, 2): x and y in pixels. (0, 0) is the outer corner of the first pixel, (W, H) that of the
last. The last point is not the first one again."""

MOST_POINTS = 100
"""Largest number of points of a polygon that is simplified."""

UNLABELLED = (160, 160, 160)
"""The colour of cells without a label."""

_GOLDEN = 0.618033988749895


def outline_of(
    labels: npt.NDArray[np.int32], cell: Cell, *, tolerance: float = 0.75, most: int = MOST_POINTS
) -> tuple[Polygon, ...]:
    """Trace a cell.

    The outline runs along the edges of the pixels and not through their centres, so that a cell of one pixel has an
    area. Holes are filled.

    Parameters
    ----------
    labels : numpy.ndarray
        int32 of shape (H, W): the label image.
    cell : Cell
        The cell.
    tolerance : float
        By how many pixels a simplified line may lie beside the true one (Douglas and Peucker, Cartographica 10 (1973)
        112). More if there would be more than `most` points; less if the line would cross itself. 0: no simplification.
    most : int
        Largest number of points of a polygon.

    Returns
    -------
    tuple of numpy.ndarray
        A `Polygon` for each piece of the cell, the largest first. None of them crosses itself.
    """
    top, left, bottom, right = cell.box
    traced, _ = cv2.findContours(
        _on_corners(labels[top:bottom, left:right] == cell.number), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    pieces = sorted((piece[:, 0] for piece in traced), key=lambda piece: -float(cv2.contourArea(piece)))
    return tuple(_simplified(piece, tolerance, most) / 2 + (left, top) for piece in pieces)


def outlines_of(segmentation: Segmentation, *, tolerance: float = 0.75) -> Iterator[tuple[Polygon, ...]]:
    """Trace each cell of a segmentation, in order: see `outline_of`."""
    for cell in segmentation.cells:
        yield outline_of(segmentation.labels, cell, tolerance=tolerance)


def colour_of(index: int) -> tuple[int, int, int]:
    """Return the colour of a class: red, green and blue, 0 to 255. Neighbouring indices differ most in hue."""
    hue = index * _GOLDEN % 1
    red, green, blue = colorsys.hls_to_rgb(hue, 0.55 + 0.12 * (index % 3 - 1), 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)


def _on_corners(mask: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Enlarge a mask twofold so that the border pixels of the result are the corners and edges of the pixels.

    A corner at which two pixels touch diagonally stays open: a line through it would cross itself.
    """
    height, width = mask.shape
    pixels = np.zeros((2 * height + 1, 2 * width + 1), np.uint8)
    pixels[1::2, 1::2] = mask
    fine = cv2.dilate(pixels, np.ones((3, 3), np.uint8))
    a, b, c, d = mask[:-1, :-1], mask[:-1, 1:], mask[1:, :-1], mask[1:, 1:]
    fine[2:-2:2, 2:-2:2][(a == d) & (b == c) & (a != b)] = 0
    return fine


def _simplified(piece: npt.NDArray[Any], tolerance: float, most: int) -> npt.NDArray[Any]:
    if tolerance == 0 or len(piece) <= 4:  # noqa: PLR2004 - a rectangle
        return piece
    epsilon = 2 * tolerance
    line = cv2.approxPolyDP(piece, epsilon, closed=True)[:, 0]
    while len(line) > most:
        epsilon *= 1.5
        line = cv2.approxPolyDP(piece, epsilon, closed=True)[:, 0]
    while not _is_simple(line):
        epsilon /= 2
        if epsilon < 1:
            return piece
        line = cv2.approxPolyDP(piece, epsilon, closed=True)[:, 0]
    return line


def _is_simple(line: npt.NDArray[Any]) -> bool:
    """Whether a closed line has an area and neither crosses nor touches itself."""
    count = len(line)
    if count < 3:  # noqa: PLR2004 - corners of a triangle
        return False
    start, end = line.astype(np.int64), np.roll(line, -1, 0).astype(np.int64)

    def side(of: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return for each segment on which side of it each point lies."""
        along, towards = (end - start)[:, None], of[None] - start[:, None]
        sign: npt.NDArray[np.int64] = np.sign(along[..., 0] * towards[..., 1] - along[..., 1] * towards[..., 0])
        return sign

    apart = side(start) * side(end)
    crossing = (apart <= 0) & (apart.T <= 0)
    low, high = np.minimum(start, end), np.maximum(start, end)
    overlap = ((low[:, None] <= high[None]) & (low[None] <= high[:, None])).all(-1)
    at = np.arange(count)
    step = (at[:, None] - at[None]) % count
    neighbours = (step <= 1) | (step == count - 1)
    return not (crossing & overlap & ~neighbours).any()
