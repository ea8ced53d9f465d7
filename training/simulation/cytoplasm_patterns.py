"""Draws the five patterns that fill or hold a large part of the cytoplasm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.simulation.drawing import as_image, blur, discs, smooth_noise, splat
from training.simulation.sampling import owners_of, scatter, values_at
from training.simulation.walks import grow

if TYPE_CHECKING:
    from training.simulation.drawing import Image
    from training.simulation.scene import Scene


def endoplasmic_reticulum(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw the meshes of the reticulum, densest round the nucleus, with the nuclear envelope."""
    floor = rng.uniform(0.1, 0.3)
    near = floor + (1 - floor) * scene.near_nucleus(rng.uniform(20, 40))
    mesh = scene.cytoplasm * (0.25 + 0.75 * scene.reticulum) * near * scene.thickness
    envelope = np.exp(-0.5 * (scene.nucleus_depth - 1) ** 2) * (scene.nucleus_depth > 0)
    return as_image(mesh + rng.uniform(0.1, 0.45) * envelope + rng.uniform(0.04, 0.15) * scene.nucleus)


def golgi_apparatus(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw a ribbon of wavy strands close to one side of each nucleus."""
    ribbon = np.zeros(scene.shape, dtype=np.float32)
    arc = rng.uniform(0.3, 0.75)
    along = np.linspace(-1, 1, 40)
    for number in scene.nucleated:
        cell = scene.cells[number]
        strands = int(rng.integers(6, 13))
        middle = cell.centrosome_side + rng.normal(0, 0.6 * arc, (strands, 1))
        angles = middle + along * arc * rng.uniform(0.3, 0.7, (strands, 1))
        rise = rng.uniform(2, 17, (strands, 1)) * scene.scale
        waves = 2.5 * scene.scale * np.sin(along * rng.uniform(3, 7, (strands, 1)) + rng.uniform(0, 6, (strands, 1)))
        points = cell.nucleus.point(angles, 1 + (rise + waves) / cell.nucleus.radius(angles))
        beads = np.clip(0.7 + 0.4 * rng.standard_normal(angles.shape), 0.1, None) * (1 - 0.6 * np.abs(along))
        belongs = owners_of(scene, points.reshape(-1, 2)).reshape(angles.shape) == number
        ribbon += splat(scene.shape, points, beads * belongs)
    ribbon = blur(ribbon, max(1.5 * scene.scale, 0.3))
    ribbon = np.minimum(ribbon / (float(np.quantile(ribbon[ribbon > ribbon.max() / 50], 0.9)) + 1e-6), 1.3)
    return as_image(ribbon * (1 - 0.8 * scene.nucleus) + rng.uniform(0.02, 0.07) * scene.thickness)


def mitochondria(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw curvy threads through the cytoplasm, denser near the nucleus."""
    near = scene.near_nucleus(rng.uniform(25, 50)) * scene.cytoplasm * (scene.depth > 4)
    starts = scatter(scene, rng.uniform(0.010, 0.018) * near, rng)
    usual_length = rng.uniform(16, 38) * scene.scale
    threads = grow(
        scene.owner,
        starts,
        rng.uniform(0, 2 * np.pi, len(starts)),
        usual_length * rng.uniform(0.4, 2.0, len(starts)),
        rng,
        step=1.2 * scene.scale,
        wobble=rng.uniform(0.05, 0.09),
        waviness=0.8,
    )
    over_nucleus = values_at(scene.nucleus, threads.points.reshape(-1, 2)).reshape(threads.present.shape)
    brightness = rng.uniform(0.5, 1, len(starts)) * (1 - 0.9 * over_nucleus)
    drawn = blur(threads.draw(scene.shape, brightness), max(rng.uniform(0.7, 1.1) * scene.scale, 0.3))
    # Crossings must not be brighter than the rest: all threads lie in one thin slice.
    return as_image(1 - np.exp(-1.8 * drawn))


def aggresome(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw one big compact inclusion beside most nuclei."""
    carriers = [number for number in scene.nucleated if rng.random() < rng.uniform(0.6, 1.0)]
    parts, radii = [np.empty((0, 2))], [np.empty(0)]
    for number in carriers:
        cell = scene.cells[number]
        radius = scene.scale * rng.uniform(8, 14)
        side = cell.centrosome_side
        middle = cell.nucleus.point(side, 1 + 0.8 * radius / cell.nucleus.radius(side))
        parts.append(middle + rng.normal(0, 0.3 * radius, (6, 2)))
        radii.append(radius * rng.uniform(0.4, 0.75, 6))
    centres = np.concatenate(parts)
    inclusion = np.minimum(discs(scene.shape, centres, np.concatenate(radii), np.full(len(centres), 0.7)), 1)
    grain = 1 + 0.12 * smooth_noise(scene.shape, 1.5 * scene.scale, rng)
    return as_image(inclusion * grain * (scene.owner >= 0) + rng.uniform(0.02, 0.1) * scene.thickness)


def cytosol(scene: Scene, rng: np.random.Generator) -> Image:
    """Fill the cytoplasm evenly, thinner towards the edge, except the nucleus and scattered vesicles."""
    grain = 1 + rng.uniform(0.05, 0.15) * smooth_noise(scene.shape, 2.5 * scene.scale, rng)
    holes = smooth_noise(scene.shape, 3 * scene.scale, rng) > rng.uniform(2.0, 3.0)
    inside = rng.uniform(0.08, 0.3) * scene.nucleus
    return as_image(scene.thickness * (1 - scene.nucleus) * grain * (1 - 0.6 * holes) + inside)
