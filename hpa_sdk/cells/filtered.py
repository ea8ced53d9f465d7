"""Filters the planes of a field window by window, with thresholds that are those of the whole field."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.thresholds import Background, Floats, background_of, blurred, shows_cells
from hpa_sdk.cells.tiles import Box, Tile, tiles_of

_MOST_SAMPLED = 4096 * 4096

Plane = npt.NDArray[np.uint8 | np.uint16]


class Smooth(NamedTuple):
    """The filtered pixels of a window, float32 of shape (h, w), and the background of the whole plane."""

    plane: Floats
    background: Background


class FilteredPlane(NamedTuple):
    """A plane of a field that is filtered where it is looked at.

    Attributes
    ----------
    plane : numpy.ndarray
        uint8 or uint16 of shape (H, W).
    deviation : float
        Of the Gaussian filter, in pixels.
    background : Background
        That of the filtered plane.
    whole : numpy.ndarray or None
        The filtered plane, float32 of shape (H, W), of a field that is one tile; else windows are filtered when they
        are looked at, so that memory is bounded.
    """

    plane: Plane
    deviation: float
    background: Background
    whole: Floats | None

    @classmethod
    def of(cls, plane: Plane, deviation: float, tiles: Sequence[Tile]) -> FilteredPlane:
        """Filter a plane in these tiles, and find its background."""
        sample = _sample(plane, deviation, tiles)
        whole = sample if len(tiles) == 1 and sample.shape == plane.shape else None
        return cls(plane, deviation, background_of(sample), whole)

    def within(self, window: Box) -> Smooth:
        """Return the filtered pixels of a window. Beside its edges they lack what lies outside."""
        smooth = _filtered(self.plane, window, self.deviation) if self.whole is None else self.whole[window]
        return Smooth(smooth, self.background)


def plane_shows_cells(plane: Plane, pixel: float) -> bool:
    """Whether a plane shows cells, in any part of a large field: see `shows_cells`."""
    blocks = tiles_of((plane.shape[0], plane.shape[1]), _MOST_SAMPLED, 0)
    return any(shows_cells(plane[block.core].astype(np.float32), pixel) for block in blocks)


def _filtered(plane: Plane, window: Box, deviation: float) -> Floats:
    return blurred(plane[window].astype(np.float32), deviation)


def _sample(plane: Plane, deviation: float, tiles: Sequence[Tile]) -> Floats:
    """Return the filtered plane for statistics; of a large field every second, third, ... row and column.

    Which ones depends on the size of the field alone, not on its tiles: otherwise seams would show.
    """
    height, width = plane.shape
    step = math.ceil((height * width / _MOST_SAMPLED) ** 0.5)
    sample = np.empty((math.ceil(height / step), math.ceil(width / step)), np.float32)
    for tile in tiles:
        (rows, columns), (top, left) = tile.inner, (math.ceil(span.start / step) for span in tile.core)
        first_row, first_column = (-span.start % step for span in tile.core)
        part = _filtered(plane, tile.window, deviation)[rows, columns][first_row::step, first_column::step]
        sample[top : top + part.shape[0], left : left + part.shape[1]] = part
    return sample
