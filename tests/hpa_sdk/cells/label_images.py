"""Makes label images for tests."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt


def discs(count: int, *, side: int = 256, radius: int = 12, step: int = 1, seed: int = 0) -> npt.NDArray[np.int32]:
    """Draw discs, some of them over others and over the border: int32 of shape (side, side)."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    for at in range(count):
        x, y = (int(number) for number in rng.integers(0, side, 2))
        cv2.circle(labels, (x, y), radius, 1 + at * step, -1)
    return labels


def grid(*, side: int, cells: int, gap: int) -> npt.NDArray[np.int32]:
    """Draw squares in rows and columns, with background between them: int32 of shape (side, side)."""
    labels = np.zeros((side, side), np.int32)
    step = side // cells
    for at in range(cells**2):
        y, x = (at // cells * step + gap // 2, at % cells * step + gap // 2)
        labels[y : y + step - gap, x : x + step - gap] = at + 1
    return labels
