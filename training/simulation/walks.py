"""Grows filaments step by step inside cells; there is no formula for threads that bend and stop at the edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.simulation.drawing import Image, splat

if TYPE_CHECKING:
    from training.simulation.drawing import Mask, Points, Shape, Values

Owner = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Filaments:
    """Filaments as rows of points, all with the same number of steps, each cut where it ends.

    Parameters
    ----------
    points, headings : ndarray, float64, shape (steps, n, 2)
        Position (column, row) in pixels and unit direction at each step.
    present : ndarray, bool, shape (steps, n)
        Whether the filament still continues at that step.
    """

    points: Points
    headings: Points
    present: Mask

    def draw(self, shape: Shape, brightness: Values | float = 1.0) -> Image:
        """Draw the filaments as thin lines; `brightness` has the shape of `present` or broadcasts to it."""
        light: Values = np.where(self.present, brightness, 0.0)
        return splat(shape, self.points, light)

    def last_step(self) -> NDArray[np.intp]:
        """Step at which each filament ends."""
        steps: NDArray[np.intp] = np.count_nonzero(self.present, axis=0)
        return np.maximum(steps - 1, 0)


def grow(
    owner: Owner,
    starts: Points,
    directions: Values,
    lengths: Values,
    rng: np.random.Generator,
    *,
    step: float,
    wobble: float,
    waviness: float = 0.0,
    push: Image | None = None,
) -> Filaments:
    """Grow filaments from starting points until their length is reached or they leave their cell.

    Parameters
    ----------
    owner : ndarray, int16, shape (rows, columns)
        Number of the cell that each pixel belongs to, -1 outside cells.
    starts : ndarray, float64, shape (n, 2)
        Column and row where each filament starts, in pixels.
    directions, lengths : ndarray, float64, shape (n,)
        First direction in radians and greatest length in pixels of each filament.
    rng : numpy.random.Generator
        Source of randomness.
    step : float
        Distance between the points of a filament, in pixels.
    wobble : float
        Standard deviation of the direction's change at each step, in radians.
    waviness : float
        Share of a step's turn that the next step keeps, from 0 (jitter) to just under 1 (long waves).
    push : ndarray, float32, shape (rows, columns, 2), optional
        Term that is added to the unit direction at each position (columns, rows).

    Returns
    -------
    Filaments
        The filaments.
    """
    rows, columns = owner.shape
    steps = max(int(np.ceil(lengths.max(initial=0) / step)), 1)
    points = np.empty((steps, len(starts), 2))
    headings = np.empty_like(points)
    cells = np.empty((steps, len(starts)), dtype=np.int16)
    turns = wobble * rng.standard_normal((steps, len(starts)))
    for number in range(1, steps):
        turns[number] += waviness * turns[number - 1]
    flat_owner = owner.reshape(-1)
    flat_push = None if push is None else push.reshape(-1, 2)
    place = np.array(starts, dtype=np.float64)
    heading = np.stack([np.cos(directions), np.sin(directions)], axis=-1)
    limits = np.array([columns - 1, rows - 1])
    for number in range(steps):
        points[number] = place
        headings[number] = heading
        pixel = np.clip(place, 0, limits).astype(np.intp) @ np.array([1, columns])
        cells[number] = flat_owner[pixel]
        sideways = heading[:, ::-1] * np.array([-1.0, 1.0])
        heading = heading + turns[number][:, None] * sideways
        if flat_push is not None:
            heading += flat_push[pixel]
        heading /= np.hypot(heading[:, 0], heading[:, 1])[:, None] + 1e-9
        place = place + step * heading
    inside = np.logical_and.accumulate((cells == cells[0]) & (cells[0] >= 0), axis=0)
    long_enough = np.arange(steps)[:, None] * step <= lengths
    return Filaments(points, headings, inside & long_enough)
