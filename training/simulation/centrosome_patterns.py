"""Draws the two patterns of the centrosome, from which microtubules grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.simulation.cells import Phase
from training.simulation.drawing import as_image, blur, smooth_noise, splat, spots

if TYPE_CHECKING:
    from training.simulation.drawing import Image, Points
    from training.simulation.scene import Scene


def microtubule_organizing_center(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw a fuzzy spot at each centrosome with the beginnings of an aster."""
    middles = _poles(scene)
    sizes = scene.scale * rng.uniform(2.6, 3.8) * rng.lognormal(0, 0.15, len(middles))
    spot = spots(scene.shape, middles, sizes, rng.uniform(0.6, 1, len(middles)))
    rays = rng.uniform(0, 2 * np.pi, (len(middles), 14))
    reach = np.linspace(0, 1, 14) * (scene.scale * rng.uniform(9, 18, rays.shape))[..., None]
    ways = np.stack([np.cos(rays), np.sin(rays)], axis=-1)
    points = middles[:, None, None, :] + reach[..., None] * ways[:, :, None, :]
    aster = splat(scene.shape, points, np.broadcast_to(1 - np.linspace(0, 1, 14), points.shape[:-1]))
    aster = blur(aster, max(0.8 * scene.scale, 0.3)) * scene.scale
    return as_image(spot + rng.uniform(0.3, 0.6) * np.minimum(aster, 1) + _background(scene, rng))


def centrosome(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw one or two tiny dots beside each nucleus."""
    first = _poles(scene)
    angles = rng.uniform(0, 2 * np.pi, len(first))
    apart = scene.scale * rng.uniform(3.5, 7, len(first))
    second = first + apart[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    middles = np.concatenate([first, second[rng.random(len(first)) < rng.uniform(0.4, 0.9)]])
    sizes = np.full(len(middles), scene.scale * rng.uniform(1.0, 1.4))
    return as_image(spots(scene.shape, middles, sizes, rng.uniform(0.7, 1, len(middles))) + _background(scene, rng))


def _background(scene: Scene, rng: np.random.Generator) -> Image:
    grain = 1 + 0.15 * smooth_noise(scene.shape, 2 * scene.scale, rng)
    return as_image(rng.uniform(0.02, 0.12) * scene.thickness * grain)


def _poles(scene: Scene) -> Points:
    """Positions of all centrosomes: one per cell, two in metaphase."""
    places = [cell.centrosome for cell in scene.cells]
    places += [2 * scene.cells[n].outline.centre - scene.cells[n].centrosome for n in scene.numbers(Phase.METAPHASE)]
    return np.array(places).reshape(-1, 2)
