"""Describes closed outlines of cells and nuclei by their radius at each angle from the centre."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from training.simulation.drawing import as_image

if TYPE_CHECKING:
    from training.simulation.drawing import Image, Points, Shape, Values

Window = tuple[slice, slice]

_ANGLES = 256
_TURN = 2 * np.pi
_HARMONICS = np.arange(2, 9)


@dataclass(frozen=True, slots=True)
class Outline:
    """A closed line that every ray from its centre crosses once.

    Parameters
    ----------
    centre : ndarray, float64, shape (2,)
        Column and row of the centre, in pixels.
    radii : ndarray, float64, shape (256,)
        Distance from the centre to the line at evenly spaced angles, in pixels.
    """

    centre: Points
    radii: Values

    def radius(self, angle: Values | float) -> Values:
        """Distance from the centre to the line in the directions `angle` (radians), in pixels."""
        place = np.asarray(angle) * (_ANGLES / _TURN)
        return np.asarray(np.interp(place % _ANGLES, np.arange(_ANGLES + 1), np.append(self.radii, self.radii[0])))

    def point(self, angle: Values | float, fraction: Values | float) -> Points:
        """Points at a `fraction` of the way from the centre to the line in the directions `angle` (radians)."""
        away = self.radius(angle) * fraction
        return self.centre + np.stack([away * np.cos(angle), away * np.sin(angle)], axis=-1)

    @property
    def area(self) -> float:
        """Area inside the line, in square pixels."""
        return float(np.mean(self.radii**2) * np.pi)

    def window(self, shape: Shape) -> Window:
        """Rows and columns of an image of `shape` that contain the outline; empty if it lies outside."""
        reach = self.radii.max() + 2
        low = np.floor(self.centre - reach).astype(int)
        high = np.ceil(self.centre + reach).astype(int)
        columns, rows = (slice(*np.clip([low[i], high[i]], 0, shape[1 - i]).tolist()) for i in (0, 1))
        return rows, columns

    def fraction(self, window: Window) -> Image:
        """Distance of each pixel of a window from the centre, as a fraction of the outline's radius there."""
        rows, columns = window
        across = np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(self.centre[0])
        down = np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(self.centre[1])
        grid = np.broadcast_arrays(across[None, :], down[:, None])
        away, angle = cv2.cartToPolar(np.ascontiguousarray(grid[0]), np.ascontiguousarray(grid[1]))
        place = np.asarray(angle) * np.float32(_ANGLES / _TURN)
        table = np.append(self.radii, self.radii[:2]).astype(np.float32)
        left = place.astype(np.intp)
        radius = table[left] + (place - left) * (table[left + 1] - table[left])
        return as_image(away / radius)


def draw_outline(
    rng: np.random.Generator,
    *,
    centre: Points,
    radius: float,
    elongation: float = 1.0,
    angle: float = 0.0,
    roughness: float = 0.0,
    tips: int = 0,
) -> Outline:
    """Draw an irregular ellipse, with or without drawn-out tips.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    centre : ndarray, float64, shape (2,)
        Column and row of the centre, in pixels.
    radius : float
        Radius of the circle of about the same area, in pixels.
    elongation : float
        Long axis over short axis.
    angle : float
        Direction of the long axis, in radians.
    roughness : float
        Relative size of the random waves on the outline.
    tips : int
        Number of pointed protrusions.

    Returns
    -------
    Outline
        The outline.
    """
    turn = np.arange(_ANGLES) * (_TURN / _ANGLES)
    stretched = np.hypot(np.cos(turn - angle) / np.sqrt(elongation), np.sin(turn - angle) * np.sqrt(elongation))
    sizes = roughness * rng.standard_normal(len(_HARMONICS)) / np.sqrt(_HARMONICS)
    phases = rng.uniform(0, _TURN, len(_HARMONICS))
    waves = sizes @ np.cos(_HARMONICS[:, None] * turn + phases[:, None])
    for tip in rng.uniform(0, _TURN, tips):
        off_tip = (turn - tip + np.pi) % _TURN - np.pi
        waves += rng.uniform(0.2, 0.6) * np.exp(-0.5 * (off_tip / rng.uniform(0.12, 0.3)) ** 2)
    return Outline(np.asarray(centre, dtype=np.float64), radius / stretched * np.exp(np.clip(waves, -0.6, 0.7)))
