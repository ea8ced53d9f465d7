"""Draws the six patterns inside the nucleus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.simulation.drawing import as_image, discs, smooth_noise, spots
from training.simulation.sampling import choose

if TYPE_CHECKING:
    from training.simulation.drawing import Image
    from training.simulation.scene import Scene


def nucleoplasm(scene: Scene, rng: np.random.Generator) -> Image:
    """Fill the nucleus except the nucleoli with fine grain."""
    grain = smooth_noise(scene.shape, rng.uniform(1.2, 3) * scene.scale, rng)
    spared = rng.uniform(0.4, 0.9) * scene.nucleoli
    return as_image(scene.nucleus * np.clip(0.75 + rng.uniform(0.06, 0.2) * grain, 0.2, 1.4) * (1 - spared))


def nuclear_membrane(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw the nuclear rim, uneven in brightness, over a faint inside."""
    width = rng.uniform(0.9, 1.5)
    rim = np.exp(-0.5 * ((scene.nucleus_depth - 1.5) / width) ** 2) * (scene.nucleus_depth > 0)
    uneven = np.clip(1 + 0.25 * smooth_noise(scene.shape, 5 * scene.scale, rng), 0.3, 1.6)
    return as_image(rim * uneven + rng.uniform(0.05, 0.2) * scene.nucleus)


def nucleoli(scene: Scene, rng: np.random.Generator) -> Image:
    """Fill the nucleoli, over faint nucleoplasm."""
    grain = 1 + 0.15 * smooth_noise(scene.shape, 2 * scene.scale, rng)
    return as_image(scene.nucleoli * grain + rng.uniform(0.03, 0.15) * scene.nucleus)


def fibrillar_centers(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw clusters of small spots inside the nucleoli."""
    parents = np.repeat(np.arange(len(scene.nucleolus_radii)), rng.integers(1, 5, len(scene.nucleolus_radii)))
    angles = rng.uniform(0, 2 * np.pi, len(parents))
    away = scene.nucleolus_radii[parents] * np.sqrt(rng.uniform(0, 0.7, len(parents)))
    places = scene.nucleolus_centres[parents] + away[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    sizes = scene.scale * rng.uniform(0.9, 1.7, len(parents))
    dots = spots(scene.shape, places, sizes, rng.uniform(0.5, 1, len(parents)))
    return as_image(dots * (scene.nucleus_depth > 0) + rng.uniform(0.02, 0.08) * scene.nucleus)


def nuclear_speckles(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw 20 to 40 irregular spots in each nucleus outside its nucleoli."""
    numbers = scene.nucleated
    region = (scene.nucleus_depth > 3) & (scene.nucleoli == 0)
    middles = choose(scene, region, numbers, rng.integers(20, 41, len(numbers)).astype(np.float64), rng)
    parts = np.repeat(middles, rng.integers(1, 5, len(middles)), axis=0)
    parts = parts + rng.normal(0, 1.7 * scene.scale, parts.shape)
    sizes = scene.scale * rng.uniform(1.0, 2.0, len(parts))
    clumps = np.minimum(spots(scene.shape, parts, sizes, rng.uniform(0.4, 0.9, len(parts))), 1.2)
    diffuse = rng.uniform(0.08, 0.2) * scene.nucleus
    return as_image((clumps * (scene.nucleus_depth > 0) + diffuse) * (1 - 0.85 * scene.nucleoli))


def nuclear_bodies(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw 2 to 8 small crisp dots in each nucleus."""
    numbers = scene.nucleated
    region = (scene.nucleus_depth > 4) & (scene.nucleoli == 0)
    middles = choose(scene, region, numbers, rng.integers(2, 9, len(numbers)).astype(np.float64), rng)
    sizes = scene.scale * rng.uniform(1.5, 2.3) * rng.lognormal(0, 0.15, len(middles))
    dots = np.minimum(discs(scene.shape, middles, sizes, rng.uniform(0.7, 1, len(middles))), 1.1)
    return as_image(dots + rng.uniform(0.03, 0.15) * scene.nucleus * (1 - 0.6 * scene.nucleoli))
