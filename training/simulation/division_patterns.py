"""Draws the two patterns of cell division, and dividing cells in the reference planes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.simulation.cells import Phase
from training.simulation.drawing import as_image, blur, splat, spots

if TYPE_CHECKING:
    from training.simulation.cells import Cell
    from training.simulation.drawing import Image, Points
    from training.simulation.scene import Scene


def cytokinetic_bridge(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw the thin bridge between two daughter cells, with its midbody."""
    midbody = bridge_bundles(scene, gap=-0.2 if rng.random() < 1 / 2 else 0.12)
    middles = np.array([0.5 * (one + other) for one, other in _bridges(scene)]).reshape(-1, 2)
    ring = spots(scene.shape, middles, np.full(len(middles), 2.2 * scene.scale), np.full(len(middles), 0.9))
    return as_image(midbody + rng.uniform(0, 1) * ring + rng.uniform(0.03, 0.12) * scene.thickness)


def bridge_bundles(scene: Scene, *, gap: float) -> Image:
    """Draw the microtubule bundle of each bridge, with a dark gap at the midbody.

    Parameters
    ----------
    scene : Scene
        The scene.
    gap : float
        Half the gap's share of the bridge; negative for no gap.

    Returns
    -------
    ndarray, float32, shape (side, side)
        The bundles, at most about 1.
    """
    image = np.zeros(scene.shape, dtype=np.float32)
    along = np.linspace(-1, 1, 120)
    light = np.exp(-0.5 * (along / 0.55) ** 2) * (np.abs(along) > gap)
    for one, other in _bridges(scene):
        points = 0.5 * (one + other) + 0.5 * along[:, None] * (other - one)
        # The bundle widens where it enters the cells.
        normal = np.array([one[1] - other[1], other[0] - one[0]]) / (np.hypot(*(other - one)) + 1e-9)
        for strand in np.linspace(-1, 1, 5):
            flare = strand * scene.scale * (0.8 + 5 * np.abs(along) ** 3)
            image += splat(scene.shape, points + flare[:, None] * normal, light)
    image = blur(image, max(0.8 * scene.scale, 0.3))
    return as_image(image / (image.max() + 1e-6) * 1.2)


def mitotic_spindle(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw the bipolar spindle of each cell in metaphase."""
    return as_image(spindles(scene, rng) + rng.uniform(0.03, 0.12) * scene.thickness)


def spindles(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw bowed fibres between the poles of each spindle, and short asters round the poles."""
    image = np.zeros(scene.shape, dtype=np.float32)
    fibres = 44
    along = np.linspace(-1, 1, 90)
    for number in scene.numbers(Phase.METAPHASE):
        cell = scene.cells[number]
        length, direction, normal = _spindle_frame(cell)
        bow = np.clip(rng.normal(0, 0.55, (fibres, 1)), -1.1, 1.1) * 0.62 * length * (1 - along**2) ** 0.8
        light = (0.7 + 0.3 * np.abs(along)) * rng.uniform(0.4, 1, (fibres, 1))
        points = cell.outline.centre + (length * along)[:, None] * direction + bow[..., None] * normal
        image += splat(scene.shape, points, light)
        rays = rng.uniform(0, 2 * np.pi, 40)
        reach = np.linspace(0, 1, 16) * rng.uniform(0.2, 0.5, (40, 1)) * length
        for pole in (-1, 1):
            start = cell.outline.centre + pole * length * direction
            aster = start + reach[..., None] * np.stack([np.cos(rays), np.sin(rays)], axis=-1)[:, None, :]
            image += splat(scene.shape, aster, 0.35 * (1 - np.linspace(0, 1, 16)) * np.ones((40, 1)))
    image = blur(image, max(0.9 * scene.scale, 0.3))
    return as_image(np.minimum(image / _usual_peak(image), 1.3) * (scene.owner >= 0))


def metaphase_plates(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw the condensed chromosomes of each cell in metaphase, across the middle of its spindle."""
    centres, sizes = [np.empty((0, 2))], [np.empty(0)]
    for number in scene.numbers(Phase.METAPHASE):
        cell = scene.cells[number]
        length, direction, normal = _spindle_frame(cell)
        arms = rng.uniform(-0.72, 0.72, 70)[:, None] * length * normal
        thickness = rng.normal(0, 0.1, 70)[:, None] * length * direction
        centres.append(cell.outline.centre + arms + thickness)
        sizes.append(rng.uniform(1.6, 3.0, 70) * scene.scale)
    places = np.concatenate(centres)
    return as_image(np.minimum(spots(scene.shape, places, np.concatenate(sizes), np.full(len(places), 0.4)), 1.1))


def _bridges(scene: Scene) -> list[tuple[Points, Points]]:
    """Both ends of each bridge, slightly inside the daughters that it joins."""
    daughters = [scene.cells[number] for number in scene.numbers(Phase.DAUGHTER)]
    return [
        (one.outline.point(one.axis, 0.8), other.outline.point(other.axis, 0.8))
        for one, other in zip(daughters[::2], daughters[1::2], strict=True)
    ]


def _spindle_frame(cell: Cell) -> tuple[float, Points, Points]:
    """Half the length of the spindle, its direction, and the direction across it."""
    direction = np.array([np.cos(cell.axis), np.sin(cell.axis)])
    return float(cell.nucleus.radius(cell.axis)), direction, np.array([-direction[1], direction[0]])


def _usual_peak(image: Image) -> float:
    lit = image[image > image.max() / 20]
    return float(np.quantile(lit, 0.95)) if len(lit) else 1.0
