"""Grows cells from their nuclei over the planes that show where a cell is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from hpa_sdk.cells.filtered import Smooth
from hpa_sdk.cells.settings import SegmentationSettings
from hpa_sdk.cells.thresholds import Floats, Mask, brightest_within, depth_of, disc, flooded, without_holes
from hpa_sdk.cells.tiles import Labels

_ROUGHEST_HOLE = 200.0  # um2: a larger dark area between cells is background
_NEAR = 0.04  # of the landscape per um: where planes are even, a border lies in the middle between two nuclei
_HALF = 0.5
_MOST_IN_16_BITS = np.iinfo(np.uint16).max
_SQUARE, _LATER_SQUARE = 3, 5  # sides of medians in pixels: they leave lines that were one pixel before the first step


def cell_area(planes: Sequence[Smooth], nuclei: Labels, pixel: float, settings: SegmentationSettings) -> Mask:
    """Return where cells are: their nuclei, and what is brighter than the background in any plane.

    Parameters
    ----------
    planes : sequence of Smooth
        The planes.
    nuclei : numpy.ndarray
        int32 of shape (H, W).
    pixel : float
        Micrometres per pixel.
    settings : SegmentationSettings
        The settings.
    """
    area: Mask = nuclei > 0
    for smooth, dark in planes:
        least = min(settings.noise * dark.deviation, _HALF * (dark.threshold - dark.level))
        top = brightest_within(smooth, settings.edge / pixel)
        # At least half a grey level: a dark plane without noise has a deviation of 0.
        over = np.maximum(settings.edge_share * (top - dark.level), max(least, _HALF))
        area |= smooth - dark.level > over
    closed = cv2.morphologyEx(area.astype(np.uint8), cv2.MORPH_CLOSE, disc(settings.closing / pixel)) > 0
    return without_holes(np.asarray(closed, np.bool_), _ROUGHEST_HOLE / pixel**2)


def dark_lines(planes: Sequence[Smooth]) -> Floats:
    """Return a landscape whose ridges are the dark lines between cells: minus the mean brightness, 0 to -1."""
    landscape = np.zeros(planes[0].plane.shape, np.float32)
    for smooth, dark in planes:
        landscape -= np.clip((smooth - dark.level) / max(dark.white, 1.0), 0, 1) / len(planes)
    return landscape


def grow(nuclei: Labels, area: Mask, landscape: Floats, pixel: float, settings: SegmentationSettings) -> Labels:
    """Grow cells by a watershed that starts at the nuclei; parts of the area without a nucleus belong to no cell.

    Parameters
    ----------
    nuclei : numpy.ndarray
        int32 of shape (H, W).
    area : numpy.ndarray
        bool of shape (H, W): where cells are.
    landscape : numpy.ndarray
        float32 of shape (H, W), high at borders between cells, by about 1.
    pixel : float
        Micrometres per pixel.
    settings : SegmentationSettings
        The settings.

    Returns
    -------
    numpy.ndarray
        int32 of shape (H, W): each cell has the number of its nucleus.
    """
    if not nuclei.any():
        return nuclei
    distance = depth_of(nuclei == 0) * np.float32(pixel)
    within = area & (distance <= settings.reach)
    cells, _ = flooded(landscape + np.float32(_NEAR) * distance, nuclei, within)
    return cells


def at_full_size(cells: Labels, nuclei: Mask, shape: tuple[int, int]) -> tuple[Labels, Mask]:
    """Bring cells that were grown from nuclei to the size of their field.

    Parameters
    ----------
    cells : numpy.ndarray
        int32 of shape (h, w).
    nuclei : numpy.ndarray
        bool of shape (h, w): where the cells grew from.
    shape : tuple of int
        Height and width of the field.

    Returns
    -------
    cells : numpy.ndarray
        int32 of this shape.
    nuclei : numpy.ndarray
        bool of this shape: where a cell's pixels belong to its nucleus.
    """
    within: Mask = nuclei & (cells > 0)
    if cells.shape == shape:
        return cells, within
    # The median of numbers of four bytes is that of floats, which are exact up to 2^24.
    larger = _enlarged(cells.astype(np.uint16 if cells.max() <= _MOST_IN_16_BITS else np.float32), shape)
    return larger.astype(np.int32), np.asarray(_enlarged(within.astype(np.uint8), shape) > 0, np.bool_)


def _enlarged(numbers: Any, shape: tuple[int, int]) -> Any:  # noqa: ANN401 - as OpenCV's own types
    """Enlarge numbers, step by step so that a median can round the corners of the pixels after each."""
    square = _SQUARE
    while numbers.shape != shape:
        size = tuple(min(2 * side, full) for side, full in zip(numbers.shape, shape, strict=True))
        numbers = cv2.medianBlur(cv2.resize(numbers, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), square)
        square = _LATER_SQUARE
    return numbers
