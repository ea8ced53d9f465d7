"""Holds the cells of a field and their maps, which reference planes and organelle patterns share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.simulation.cells import Cell, Phase
from training.simulation.drawing import Image, Mask, as_image
from training.simulation.walks import Filaments, Owner

if TYPE_CHECKING:
    from training.simulation.drawing import Points, Shape, Values


@dataclass(frozen=True)
class Scene:
    """The cells of a field and the maps drawn from them, on a canvas with a margin round the field.

    Parameters
    ----------
    cells : tuple of Cell
        The cells; the number of a cell is its index.
    scale : float
        Pixels per pixel of a field of 512 columns: every length in a pattern is multiplied by it.
    margin : int
        Pixels of canvas on each side of the field.
    owner : ndarray, int16, shape (side, side)
        Number of the cell at each pixel, -1 outside cells.
    depth : ndarray, float32, shape (side, side)
        Distance to the edge of the cell, in pixels of a field of 512; 0 outside.
    inward : ndarray, float32, shape (side, side, 2)
        Unit vectors (column, row) away from the cell's edge.
    nucleus_depth, from_nucleus : ndarray, float32, shape (side, side)
        Distance to the nuclear rim inside the nucleus and outside it, in pixels of a field of 512; else 0.
    nucleolus_centres : ndarray, float64, shape (n, 2)
        Column and row of the parts of the nucleoli, in pixels.
    nucleolus_radii : ndarray, float64, shape (n,)
        Their radii, in pixels.
    nucleoli : ndarray, float32, shape (side, side)
        1 inside nucleoli, 0 outside.
    thickness : ndarray, float32, shape (side, side)
        Height of the cell, 0 at its edge to about 1 over the middle.
    reticulum : ndarray, float32, shape (side, side)
        The meshes of the endoplasmic reticulum, 0 to 1.
    microtubules : Filaments
        The interphase microtubules.
    """

    cells: tuple[Cell, ...]
    scale: float
    margin: int
    owner: Owner
    depth: Image
    inward: Image
    nucleus_depth: Image
    from_nucleus: Image
    nucleolus_centres: Points
    nucleolus_radii: Values
    nucleoli: Image
    thickness: Image
    reticulum: Image
    microtubules: Filaments

    @property
    def shape(self) -> Shape:
        """Rows and columns of the canvas."""
        return self.owner.shape[0], self.owner.shape[1]

    @property
    def nucleus(self) -> Image:
        """1 inside nuclei, 0 outside, with a soft rim."""
        return np.clip(self.nucleus_depth / 2, 0, 1)

    @property
    def cytoplasm(self) -> Mask:
        """The area of the cells without the nuclei."""
        outside_nucleus: Mask = (self.owner >= 0) & (self.nucleus_depth == 0)
        return outside_nucleus

    def numbers(self, *phases: Phase) -> list[int]:
        """Numbers of the cells in one of `phases`."""
        return [number for number, cell in enumerate(self.cells) if cell.phase in phases]

    @property
    def nucleated(self) -> list[int]:
        """Numbers of the cells that have a nucleus."""
        return self.numbers(Phase.INTERPHASE, Phase.DAUGHTER)

    def per_cell(self, values: Values, *, outside: float = 0.0) -> Image:
        """Fill the pixels of each cell with its value, and the other pixels with `outside`."""
        return np.append(values, outside).astype(np.float32)[self.owner]

    def near_nucleus(self, reach: float) -> Image:
        """1 at the nucleus, decreasing with `reach` (pixels of a field of 512); uniform in cells without a nucleus."""
        falling = np.exp(-self.from_nucleus / reach)
        bare = np.array([cell.phase is Phase.METAPHASE for cell in self.cells])
        return as_image(np.where(self.per_cell(bare) > 0, 0.4, falling))

    def field(self, image: Image) -> Image:
        """Cut the margin off an image of the canvas."""
        inner = slice(self.margin, self.shape[0] - self.margin)
        return image[inner, inner]
