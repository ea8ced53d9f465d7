"""Describes a part of a field outside of which all is black, so that the rest need not be computed."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_Planes = npt.NDArray[np.uint8 | np.uint16]


class Surroundings(NamedTuple):
    """Rows or columns of a field around a patch, and those of the image that are made of them alone.

    Attributes
    ----------
    first, taken : int
        The first one of the field, and how many there are.
    start, given : int
        The same of the image.
    """

    first: int
    taken: int
    start: int
    given: int


class Patch(NamedTuple):
    """A rectangle of a field, outside of which all pixels of the field are black.

    Attributes
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, h, w).
    top, left : int
        Its first row and column in the field.
    shape : tuple of int
        Height and width of the field.
    """

    planes: _Planes
    top: int
    left: int
    shape: tuple[int, int]

    def field(self) -> _Planes:
        """Return the field, of shape (4, H, W)."""
        count, height, width = self.planes.shape
        if (height, width) == self.shape:
            return self.planes
        field = np.zeros((count, *self.shape), self.planes.dtype)
        field[:, self.top : self.top + height, self.left : self.left + width] = self.planes
        return field

    def surroundings(self, height: int, width: int) -> tuple[Surroundings | None, Surroundings | None]:
        """Return the rows and the columns around the patch that can be resized alone, if the field becomes an image.

        Parameters
        ----------
        height, width : int
            Those of the image.

        Returns
        -------
        rows, columns : Surroundings or None
            None if only the whole field can be resized.
        """
        (rows, columns), (top, left) = self.planes.shape[1:], (self.top, self.left)
        return (
            _surroundings(top, top + rows, self.shape[0], height),
            _surroundings(left, left + columns, self.shape[1], width),
        )

    def within(self, rows: Surroundings, columns: Surroundings) -> _Planes:
        """Return these rows and columns of the field, of shape (4, h, w)."""
        (count, height, width), top, left = self.planes.shape, self.top - rows.first, self.left - columns.first
        window = np.zeros((count, rows.taken, columns.taken), self.planes.dtype)
        window[:, top : top + height, left : left + width] = self.planes
        return window


def _surroundings(first: int, stop: int, side: int, size: int) -> Surroundings | None:
    """Return the surroundings along one side.

    If p pixels of the field become q of the image, a part that begins at a multiple of p is resized as in the field.
    Positions are exact if q is a power of two. Beside the patch there is a black pixel on each side: nothing else is
    interpolated with what is outside.
    """
    blocks = math.gcd(side, size)
    taken, given = side // blocks, size // blocks
    if given & (given - 1):
        return None
    start, end = max(0, first // taken - 1), min(blocks, -(-stop // taken) + 1)
    return Surroundings(start * taken, (end - start) * taken, start * given, (end - start) * given)
