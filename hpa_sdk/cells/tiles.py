"""Divides a large field into tiles that overlap, and joins what is found in them, so that memory is bounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int32]
Box = tuple[slice, slice]

_LEAST_SIDE = 64


class Tile(NamedTuple):
    """A part of a field.

    Attributes
    ----------
    core : tuple of slice
        The rows and columns that this tile alone answers for. The cores of all tiles cover the field once.
    window : tuple of slice
        The rows and columns that are looked at: the core and its surroundings.
    """

    core: Box
    window: Box

    @property
    def inner(self) -> Box:
        """The core, counted from the start of the window."""
        (rows, columns), (top, left) = self.core, (part.start for part in self.window)
        return slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)


@dataclass(frozen=True, slots=True)
class FoundNuclei:
    """The nuclei of a field.

    Attributes
    ----------
    labels : numpy.ndarray
        int32 of shape (H, W): 0 is background, other values are nuclei, from 1 without gaps, in the order of their
        first pixels row by row.
    debris : int
        Number of bright parts that are too small.
    cut : bool
        Whether a bright part reaches farther than the overlap of two tiles, so that it can be cut.
    """

    labels: Labels
    debris: int
    cut: bool


def tiles_of(shape: tuple[int, int], most_pixels: int, overlap: int) -> list[Tile]:
    """Divide a field.

    Parameters
    ----------
    shape : tuple of int
        Its height and width.
    most_pixels : int
        Of a window. A field of at most so many is one tile.
    overlap : int
        Pixels around a core that belong to its window.

    Returns
    -------
    list of Tile
        Row by row.
    """
    height, width = shape
    if height * width <= most_pixels:
        whole = np.s_[0:height, 0:width]
        return [Tile(whole, whole)]
    # With a huge overlap the windows are larger than asked, but not many more than the field has pixels for.
    side = max(math.isqrt(most_pixels) - 2 * overlap, overlap, _LEAST_SIDE)
    rows, columns = _spans(height, side), _spans(width, side)
    return [
        Tile((row, column), (_wider(row, overlap, height), _wider(column, overlap, width)))
        for row in rows
        for column in columns
    ]


def _spans(length: int, most: int) -> list[slice]:
    edges = np.linspace(0, length, math.ceil(length / most) + 1).round().astype(int).tolist()
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _wider(span: slice, overlap: int, length: int) -> slice:
    return slice(max(0, span.start - overlap), min(length, span.stop + overlap))


def find_in_tiles(shape: tuple[int, int], tiles: Sequence[Tile], find: Callable[[Box], Labels]) -> FoundNuclei:
    """Find the nuclei of a field in its tiles, each exactly once.

    A nucleus belongs to the first tile that has a pixel of it in the core, and is taken whole: the window holds all of
    it. The windows of later tiles show it at the same place, where most of its pixels are taken.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the field.
    tiles : sequence of Tile
        Its tiles.
    find : callable
        Returns the labels of a window, int32: nuclei from 1 and debris from -1, each without gaps.
    """
    if len(tiles) == 1:
        return _found_at_once(find(tiles[0].window))
    labels = np.zeros(shape, np.int32)
    begins = [np.zeros(0, np.int64)]
    count = debris = 0
    cut = False
    for tile in tiles:
        found = find(tile.window)
        debris += _begin_inside(np.minimum(found, 0) * -1, tile.inner)
        np.maximum(found, 0, out=found)
        taken = labels[tile.window]
        sizes = np.bincount(found.ravel())
        known = 2 * np.bincount(found[taken > 0], minlength=len(sizes)) >= sizes
        inside = _numbers_of(found[tile.inner], sizes)
        new = inside & ~known
        new[0] = False
        numbers = np.where(new, np.cumsum(new) + count, 0).astype(np.int32)
        own = np.where(taken > 0, 0, numbers[found])
        taken += own
        starts = _first_pixels(own, count, int(new.sum()))
        rows, columns = np.divmod(starts, found.shape[1])
        begins.append((rows + tile.window[0].start) * shape[1] + columns + tile.window[1].start)
        count += len(starts)
        cut |= any((inside & _numbers_of(edge, sizes))[1:].any() for edge in _cut_edges(found, tile.window, shape))
    ranks = _ranks(np.concatenate(begins))
    for tile in tiles:
        labels[tile.core] = ranks[labels[tile.core]]
    return FoundNuclei(labels, debris, cut)


def _found_at_once(found: Labels) -> FoundNuclei:
    debris = -int(found.min(initial=0))
    np.maximum(found, 0, out=found)
    ranks = _ranks(_first_pixels(found, 0, int(found.max(initial=0))))
    return FoundNuclei(ranks.take(found), debris, cut=False)


def _ranks(begins: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Return for each number, from 0, its place in the order of first pixels; 0 stays 0."""
    ranks = np.zeros(len(begins) + 1, np.int32)
    ranks[np.argsort(begins) + 1] = np.arange(1, len(ranks))
    return ranks


def grow_in_tiles(nuclei: Labels, tiles: Sequence[Tile], grow: Callable[[Box, Labels], Labels]) -> None:
    """Grow the nuclei of a field to cells, in place.

    Each pixel is decided in the tile whose core has it, whose window has all nuclei that can reach it. A cell that lies
    in several cores has the number of its nucleus in all of them.

    Parameters
    ----------
    nuclei : numpy.ndarray
        int32 of shape (H, W).
    tiles : sequence of Tile
        Its tiles.
    grow : callable
        Takes a window and its nuclei, and returns its cells, with the numbers of their nuclei.
    """
    labels = nuclei
    if len(tiles) == 1:
        labels[...] = grow(tiles[0].window, labels)
        return
    # Below 0: a pixel of a nucleus. Later windows still have to see the nuclei where cells are known already.
    np.negative(labels, out=labels)
    for tile in tiles:
        seeds = np.maximum(-labels[tile.window], 0)
        cells = grow(tile.window, seeds)[tile.inner]
        inner = seeds[tile.inner]
        labels[tile.core] = np.where(inner > 0, -inner, cells)
    np.abs(labels, out=labels)


def _first_pixels(labels: Labels, before: int, count: int) -> npt.NDArray[np.int64]:
    """Return the place of the first pixel, row by row, of each of `count` numbers from `before` + 1."""
    places = np.flatnonzero(labels)[::-1]
    first = np.zeros(count, np.int64)
    first[labels.ravel()[places] - before - 1] = places  # of equal numbers the last counts, which is the first pixel
    return first


def _begin_inside(parts: Labels, inner: Box) -> int:
    rows, columns = np.divmod(_first_pixels(parts, 0, int(parts.max(initial=0))), parts.shape[1])
    inside = (rows >= inner[0].start) & (rows < inner[0].stop) & (columns >= inner[1].start) & (columns < inner[1].stop)
    return int(inside.sum())


def _numbers_of(labels: Labels, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(sizes), np.bool_)
    found[labels.ravel()] = True
    return found


def _cut_edges(found: Labels, window: Box, shape: tuple[int, int]) -> Iterator[Labels]:
    rows, columns = window
    if rows.start:
        yield found[0]
    if rows.stop < shape[0]:
        yield found[-1]
    if columns.start:
        yield found[:, 0]
    if columns.stop < shape[1]:
        yield found[:, -1]
