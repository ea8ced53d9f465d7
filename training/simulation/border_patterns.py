"""Draws the two patterns of the cell surface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from training.simulation.drawing import as_image, neighbours, smooth_noise

if TYPE_CHECKING:
    from training.simulation.drawing import Image
    from training.simulation.scene import Scene


def plasma_membrane(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw a thin bright outline of each cell with ruffles, over a faint surface."""
    inside = scene.owner >= 0
    uneven = np.clip(0.8 + 0.35 * smooth_noise(scene.shape, 12 * scene.scale, rng), 0.25, 1.6)
    outline = np.exp(-scene.depth / rng.uniform(1.2, 2.0)) * uneven
    # Ruffles are folds along parts of the edge, slightly inside it.
    fold = scene.depth - 5 - 3.5 * smooth_noise(scene.shape, 5 * scene.scale, rng)
    stretches = np.clip(smooth_noise(scene.shape, 14 * scene.scale, rng), 0, 1.5)
    ruffles = np.exp(-0.5 * (fold / 1.1) ** 2) * stretches * np.exp(-scene.depth / 7)
    surface = rng.uniform(0.05, 0.2) * (1 - 0.2 * scene.nucleus)
    return as_image(inside * (outline + rng.uniform(0.3, 0.9) * ruffles + surface))


def cell_junctions(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw a bright, slightly broken line only where two cells touch."""
    apart = np.ones(scene.shape, dtype=np.uint8)
    for (here, there), (apart_here, _) in zip(neighbours(scene.owner), neighbours(apart), strict=True):
        apart_here[(here != there) & (here >= 0) & (there >= 0)] = 0
    away = np.asarray(cv2.distanceTransform(apart, cv2.DIST_L2, cv2.DIST_MASK_5)) / scene.scale
    line = np.exp(-0.5 * (away / rng.uniform(1.0, 1.6)) ** 2) * (apart.min() == 0)
    broken = np.clip(0.85 + 0.5 * smooth_noise(scene.shape, 2.5 * scene.scale, rng), 0.1, 1.6)
    surface = rng.uniform(0.03, 0.12) * (scene.owner >= 0)
    return as_image(line * broken + surface * (1 - 0.2 * scene.nucleus))
