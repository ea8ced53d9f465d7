"""Draws the positions of structures in cells: most organelles are scattered with some density."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.simulation.drawing import as_image

if TYPE_CHECKING:
    from training.simulation.drawing import Image, Mask, Points, Values
    from training.simulation.scene import Scene


def scatter(scene: Scene, density: Image, rng: np.random.Generator) -> Points:
    """Draw points of a Poisson process.

    Parameters
    ----------
    scene : Scene
        The scene.
    density : ndarray, float32, shape (side, side)
        Expected points per square pixel of a field of 512.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray, float64, shape (n, 2)
        Column and row of each point, in pixels.
    """
    rising = np.cumsum(density.reshape(-1), dtype=np.float64)
    count = int(rng.poisson(rising[-1] / scene.scale**2))
    return _within(np.searchsorted(rising, rng.uniform(0, rising[-1], count)), scene, rng)


def choose(scene: Scene, region: Mask, numbers: list[int], counts: Values, rng: np.random.Generator) -> Points:
    """Draw a given number of points in each of some cells, evenly over a region.

    Parameters
    ----------
    scene : Scene
        The scene.
    region : ndarray, bool, shape (side, side)
        Where points may lie.
    numbers : list of int
        Numbers of the cells.
    counts : ndarray, float64, shape (len(numbers),)
        Points in each of them; a cell that the canvas cuts gets the share of its visible part.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray, float64, shape (n, 2)
        Column and row of each point, in pixels, cell after cell.
    """
    chosen = [np.empty(0, dtype=np.intp)]
    for number, count in zip(numbers, counts, strict=True):
        rows, columns = scene.cells[number].outline.window(scene.shape)
        allowed = region[rows, columns] & (scene.owner[rows, columns] == number)
        down, across = np.nonzero(allowed)
        if len(down) == 0:
            continue
        picks = rng.integers(0, len(down), rng.binomial(int(count), _visible_share(scene, number)))
        chosen.append((down[picks] + rows.start) * scene.shape[1] + across[picks] + columns.start)
    return _within(np.concatenate(chosen), scene, rng)


def owners_of(scene: Scene, points: Points) -> NDArray[np.intp]:
    """Find the cell of each point (column, row): its number, -1 outside cells and outside the canvas."""
    pixel = np.floor(points).astype(np.intp)
    inside = np.all((pixel >= 0) & (pixel < scene.shape[1]), axis=-1)
    column, row = np.clip(pixel, 0, scene.shape[1] - 1).T
    return np.where(inside, scene.owner[row, column], -1)


def values_at(image: NDArray[np.float32], points: Points) -> NDArray[np.float32]:
    """Read the values of an image at points (column, row) inside it."""
    column, row = np.clip(points.astype(np.intp), 0, image.shape[1] - 1).T
    return as_image(image[row, column])


def _visible_share(scene: Scene, number: int) -> float:
    """Share of a cell's nucleus, by its bounding square, that lies on the canvas."""
    nucleus = scene.cells[number].nucleus
    reach = nucleus.radii.max()
    visible = np.minimum(nucleus.centre + reach, scene.shape[1]) - np.maximum(nucleus.centre - reach, 0)
    return float(np.prod(np.clip(visible / (2 * reach), 0, 1)))


def _within(pixels: NDArray[np.intp], scene: Scene, rng: np.random.Generator) -> Points:
    """Turn pixel numbers into random points in those pixels."""
    rows, columns = np.divmod(pixels, scene.shape[1])
    return np.stack([columns, rows], axis=-1) + rng.uniform(-0.5, 0.5, (len(pixels), 2))
