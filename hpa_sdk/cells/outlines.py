"""Traces the outlines of cells as polygons with few points, for pictures, pages and other programs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
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

_RING = re.compile(r"\(([^()]+)\)")
_POINT = r"\s*-?[\d.e+]+ -?[\d.e+]+\s*"
_RINGS = rf"\(\({_POINT}(?:,{_POINT})+\)\)"
_WKT = re.compile(rf"POLYGON {_RINGS}|MULTIPOLYGON \({_RINGS}(?:, {_RINGS})*\)")
_APART = 0.45  # pixels: between two pieces is at least one pixel
_COLOURS = 40
_DARKEST = 50  # of a lightness from 0 to 100: outlines are drawn on black


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
        Of a cell in several pieces less than half a pixel, so that they stay apart.
    most : int
        Largest number of points of a polygon, if it is the only one.

    Returns
    -------
    tuple of numpy.ndarray
        A `Polygon` for each piece of the cell, the largest first. None of them crosses itself or another one.
    """
    top, left, bottom, right = cell.box
    traced, _ = cv2.findContours(
        _on_corners(labels[top:bottom, left:right] == cell.number), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    pieces = sorted((piece[:, 0] for piece in traced), key=lambda piece: -float(cv2.contourArea(piece)))
    if len(pieces) > 1 and tolerance > 0:
        tolerance, most = min(tolerance, _APART), sys.maxsize
    return tuple(_simplified(piece, tolerance, most) / 2 + (left, top) for piece in pieces)


def outlines_of(segmentation: Segmentation, *, tolerance: float = 0.75) -> Iterator[tuple[Polygon, ...]]:
    """Trace each cell of a segmentation, in order: see `outline_of`."""
    for cell in segmentation.cells:
        yield outline_of(segmentation.labels, cell, tolerance=tolerance)


def to_wkt(pieces: tuple[Polygon, ...]) -> str:
    """Write an outline as well-known text (OGC 06-103r4): a POLYGON, or a MULTIPOLYGON of several pieces."""
    rings = [
        f"(({', '.join(f'{x:.12g} {y:.12g}' for x, y in (*piece.tolist(), piece[0].tolist()))}))" for piece in pieces
    ]
    return f"POLYGON {rings[0]}" if len(rings) == 1 else f"MULTIPOLYGON ({', '.join(rings)})"


def from_wkt(text: str) -> tuple[Polygon, ...]:
    """Read what `to_wkt` writes.

    Raises
    ------
    ValueError
        It is no such text.
    """
    if not _WKT.fullmatch(text):
        raise ValueError(f"no outline: {text[:40]!r}")
    return tuple(
        np.array([point.split() for point in ring.split(",")], np.float64)[:-1] for ring in _RING.findall(text)
    )


def colour_of(index: int) -> tuple[int, int, int]:
    """Return the colour of a class: red, green and blue, 0 to 255. The first forty differ; then they repeat."""
    red, green, blue = _palette()[index % _COLOURS]
    return red, green, blue


def css_colours(classes: int) -> list[str]:
    """Return the colour of each class as CSS takes it, and last that of cells without a label."""
    colours = (*map(colour_of, range(classes)), UNLABELLED)
    return [f"rgb({red} {green} {blue})" for red, green, blue in colours]


def flat(outline: Iterable[Polygon]) -> list[list[float]]:
    """Return the points of each piece as x, y, x, y, ..., whole numbers as int, which are shorter in JSON."""
    return [[int(value) if value.is_integer() else value for value in piece.ravel().tolist()] for piece in outline]


@lru_cache
def _palette() -> list[list[int]]:
    """Choose colours that are bright and far from each other in CIELAB, one by one.

    Glasbey et al., Color Research & Application 32 (2007) 304.
    """
    levels = np.linspace(0, 1, 12, dtype=np.float32)
    candidates = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    lab = cv2.cvtColor(candidates, cv2.COLOR_RGB2LAB)[0]
    known = cv2.cvtColor(np.array([[UNLABELLED, (255, 255, 255)]], np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    distance = np.linalg.norm(lab[:, None] - known, axis=-1).min(1)
    distance[lab[:, 0] < _DARKEST] = 0
    chosen = []
    for _ in range(_COLOURS):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=-1))
    colours: list[list[int]] = np.rint(255 * candidates[0, chosen]).astype(int).tolist()
    return colours


def _on_corners(mask: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Enlarge a mask twofold so that the border pixels of the result are the corners and edges of the pixels.

    Where two pixels touch at a corner alone, a contour steps diagonally past the corner on both sides, and so never
    meets itself.
    """
    height, width = mask.shape
    pixels = np.zeros((2 * height + 1, 2 * width + 1), np.uint8)
    pixels[1::2, 1::2] = mask
    return cv2.dilate(pixels, np.ones((3, 3), np.uint8))


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
