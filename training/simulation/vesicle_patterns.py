"""Draws the six patterns of small separate bodies in the cytoplasm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from training.simulation.drawing import as_image, blur, discs, rings, spots
from training.simulation.sampling import choose, scatter
from training.simulation.walks import grow

if TYPE_CHECKING:
    from training.simulation.drawing import Image, Points
    from training.simulation.scene import Scene


def peroxisomes(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw many tiny dots of even size all over the cytoplasm."""
    evenly = (scene.cytoplasm & (scene.depth > 4)) * rng.uniform(0.013, 0.024)
    middles = scatter(scene, evenly * scene.per_cell(rng.lognormal(0, 0.25, len(scene.cells))), rng)
    sizes = np.full(len(middles), scene.scale * rng.uniform(0.7, 1.0))
    return as_image(spots(scene.shape, middles, sizes, rng.uniform(0.7, 1, len(middles))) + _faint_cytosol(scene, rng))


def endosomes(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw some dots of varied size, more of them towards the nucleus."""
    near = scene.near_nucleus(rng.uniform(18, 30)) * (scene.cytoplasm & (scene.depth > 3))
    density = rng.uniform(0.004, 0.007) * near
    middles = scatter(scene, density * scene.per_cell(rng.lognormal(0, 0.3, len(scene.cells))), rng)
    sizes = scene.scale * np.clip(rng.lognormal(np.log(1.5), 0.35, len(middles)), 0.8, 3.2)
    return as_image(spots(scene.shape, middles, sizes, rng.uniform(0.35, 1, len(middles))) + _faint_cytosol(scene, rng))


def lysosomes(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw large round bodies in clusters close to the nucleus."""
    near = scene.near_nucleus(rng.uniform(10, 18)) * (scene.cytoplasm & (scene.depth > 4))
    seeds = scatter(scene, 0.0016 * near, rng)
    middles = _clusters(scene, seeds, rng, most=9, apart=6.0)
    sizes = scene.scale * rng.uniform(1.8, 3.2, len(middles))
    bodies = np.minimum(discs(scene.shape, middles, sizes, rng.uniform(0.6, 1, len(middles))), 1.2)
    return as_image(bodies + _faint_cytosol(scene, rng))


def lipid_droplets(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw groups of droplets: rings if they are large enough to show a surface, else bright dots."""
    region = (scene.cytoplasm & (scene.depth > 6)) * rng.uniform(0.0006, 0.0012)
    seeds = scatter(scene, region * scene.per_cell(rng.lognormal(0, 0.6, len(scene.cells))), rng)
    middles = _clusters(scene, seeds, rng, most=8, apart=9.0)
    sizes = scene.scale * np.clip(rng.lognormal(np.log(3.0), 0.35, len(middles)), 1.5, 6)
    width = np.full(len(middles), 0.9 * scene.scale)
    droplets = rings(scene.shape, middles, sizes, width, rng.uniform(0.6, 1, len(middles)))
    return as_image(np.minimum(droplets, 1.3) + _faint_cytosol(scene, rng))


def cytoplasmic_bodies(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw 3 to 10 crisp dots in each cell."""
    numbers = scene.nucleated
    region = scene.cytoplasm & (scene.depth > 6) & (scene.from_nucleus > 3)
    middles = choose(scene, region, numbers, rng.integers(3, 11, len(numbers)).astype(np.float64), rng)
    sizes = scene.scale * rng.uniform(2.0, 3.0) * rng.lognormal(0, 0.15, len(middles))
    dots = np.minimum(discs(scene.shape, middles, sizes, rng.uniform(0.7, 1, len(middles))), 1.1)
    return as_image(dots + _faint_cytosol(scene, rng))


def rods_and_rings(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw a few rods of 3 to 10 micrometres and rings of 2 to 5 micrometres in the cytoplasm."""
    numbers = scene.nucleated
    region = scene.cytoplasm & (scene.depth > 8)
    ends = choose(scene, region, numbers, rng.integers(1, 4, len(numbers)).astype(np.float64), rng)
    rods = grow(
        scene.owner,
        ends,
        rng.uniform(0, 2 * np.pi, len(ends)),
        scene.scale * rng.uniform(19, 60, len(ends)),
        rng,
        step=0.8 * scene.scale,
        wobble=0.008,
        waviness=0.8,
    )
    width = 1.2 * scene.scale
    # A line with one point every 0.8 pixels has the peak 1 / (0.8 sqrt(2 pi) width) after the blur: undo that.
    lines = blur(rods.draw(scene.shape), max(width, 0.3)) * (0.8 * math.sqrt(2 * math.pi) * width * scene.scale)
    middles = choose(scene, region, numbers, rng.integers(0, 3, len(numbers)).astype(np.float64), rng)
    radii = scene.scale * rng.uniform(6, 14, len(middles))
    circles = rings(scene.shape, middles, radii, np.full(len(middles), width), np.ones(len(middles)))
    return as_image(np.minimum(lines + circles * (scene.owner >= 0), 1.3) + _faint_cytosol(scene, rng))


def _clusters(scene: Scene, seeds: Points, rng: np.random.Generator, *, most: int, apart: float) -> Points:
    """Surround each seed with up to `most` points in the cytoplasm, about `apart` pixels of a field of 512 away."""
    members = np.repeat(seeds, rng.integers(1, most + 1, len(seeds)), axis=0)
    members = members + rng.normal(0, apart * scene.scale, members.shape)
    columns, rows = np.clip(members.astype(np.intp), 0, scene.shape[1] - 1).T
    kept: Points = members[scene.cytoplasm[rows, columns] & (scene.depth[rows, columns] > 2)]
    return kept


def _faint_cytosol(scene: Scene, rng: np.random.Generator) -> Image:
    return as_image(rng.uniform(0.01, 0.08) * scene.thickness * (1 - 0.5 * scene.nucleus))
