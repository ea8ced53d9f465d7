"""Draws fields of round cells whose places are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

PIXEL = 0.32
"""Micrometres per pixel."""

NUCLEUS, CELL = 22, 44
"""Radii in pixels: 7 and 14 micrometres."""

Planes = npt.NDArray[np.uint8]


def draw(centres: Sequence[tuple[int, int]], *, side: int = 384, seed: int = 0, noise: float = 2.0) -> Planes:
    """Draw cells at these rows and columns, with the protein in the nuclei of every second one."""
    planes = np.zeros((4, side, side))
    rows, columns = np.mgrid[:side, :side]
    for at, (row, column) in enumerate(centres):
        distance = np.hypot(rows - row, columns - column)
        for plane, level in ((0, 120), (3, 90)):
            planes[plane][distance < CELL] = level
        planes[2][distance < NUCLEUS] = 160
        planes[1][distance < (NUCLEUS if at % 2 else CELL)] = 100
    blurred = planes + np.random.default_rng(seed).normal(8, noise, planes.shape)
    return np.clip(blurred, 0, 255).astype(np.uint8)


FOUR = ((80, 80), (80, 280), (280, 80), (280, 280))
"""Centres of cells that do not touch."""
