"""Draws the cells of a field and their maps, once for all planes and patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from hpa_sdk.labels import Label
from training.simulation.cells import Cell, Phase, draw_culture, place_cells
from training.simulation.drawing import Image, Mask, as_image, blur, discs, neighbours, smooth_noise
from training.simulation.microtubules import grow_microtubules, inward_push
from training.simulation.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Collection

    from training.simulation.drawing import Points, Shape, Values
    from training.simulation.walks import Owner

_REFERENCE_SIDE = 512
_MARGIN = 32
_NARROW_GAP = 0.1


def build_scene(labels: Collection[Label], size: int, rng: np.random.Generator) -> Scene:
    """Place the cells of a field and draw the maps that planes and patterns share.

    Parameters
    ----------
    labels : collection of Label
        Labels of the field; some need dividing or touching cells.
    size : int
        Rows and columns of the field, in pixels.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Scene
        Cells and maps.
    """
    scale = size / _REFERENCE_SIDE
    margin = int(np.ceil(_MARGIN * scale))
    side = size + 2 * margin
    culture = draw_culture(labels, scale, rng)
    cells = place_cells(labels, culture, first=margin, last=margin + size, rng=rng)
    gap = 0.0 if Label.CELL_JUNCTIONS in labels else max(0.0, rng.uniform(-_NARROW_GAP, _NARROW_GAP))
    owner = _assign_pixels(cells, (side, side), gap)
    depth = _distance_inside(_away_from_borders(owner)) / scale
    nucleus_mask = _nuclei(cells, owner) & (depth > 2)
    nucleated = np.flatnonzero([cell.phase is not Phase.METAPHASE for cell in cells])
    from_nucleus = _distance_inside(~nucleus_mask) if len(nucleated) else np.full((side, side), side, np.float32)
    centres, radii = _place_nucleoli([cells[number] for number in nucleated], rng)
    nucleus_depth = _distance_inside(nucleus_mask) / scale
    nucleoli = np.minimum(discs((side, side), centres, radii, np.ones(len(radii))), 1)
    inward = _inward(depth)
    return Scene(
        cells=cells,
        scale=scale,
        margin=margin,
        owner=owner,
        depth=depth,
        inward=inward,
        nucleus_depth=nucleus_depth,
        from_nucleus=from_nucleus / scale,
        nucleolus_centres=centres,
        nucleolus_radii=radii,
        nucleoli=nucleoli * (nucleus_depth > 1),
        thickness=1 - np.exp(-depth / rng.uniform(12, 22)),
        reticulum=_reticulum((side, side), scale, rng),
        microtubules=grow_microtubules(cells, owner, inward_push(inward, depth), scale, rng),
    )


def _assign_pixels(cells: tuple[Cell, ...], shape: Shape, gap: float) -> Owner:
    """Assign each pixel to the cell in which it lies deepest; leave a dark gap where two cells are close."""
    owner = np.full(shape, -1, dtype=np.int16)
    nearest = np.full(shape, np.inf, dtype=np.float32)
    second = np.full(shape, np.inf, dtype=np.float32)
    for number, cell in enumerate(cells):
        window = cell.outline.window(shape)
        fraction = cell.outline.fraction(window)
        before = nearest[window]
        second[window] = np.minimum(second[window], np.maximum(before, fraction))
        owner[window][(fraction < before) & (fraction < 1)] = number
        nearest[window] = np.minimum(before, fraction)
    if gap > 0:
        owner[(second < 1) & (second < nearest + gap)] = -1
    return owner


def _away_from_borders(owner: Owner) -> Mask:
    inside = owner >= 0
    for (here, there), (inside_here, _) in zip(neighbours(owner), neighbours(inside), strict=True):
        inside_here[(here != there) & (there >= 0)] = False
    return inside


def _distance_inside(mask: Mask) -> Image:
    return as_image(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5))


def _nuclei(cells: tuple[Cell, ...], owner: Owner) -> Mask:
    mask = np.zeros_like(owner, dtype=np.bool_)
    for number, cell in enumerate(cells):
        if cell.phase is not Phase.METAPHASE:
            window = cell.nucleus.window((mask.shape[0], mask.shape[1]))
            mask[window] |= (cell.nucleus.fraction(window) < 1) & (owner[window] == number)
    return mask


def _place_nucleoli(cells: list[Cell], rng: np.random.Generator) -> tuple[Points, Values]:
    """Place 2 to 5 nucleoli a nucleus, each of two or three overlapping discs."""
    centres: list[Points] = []
    radii: list[Values] = []
    usual_size = rng.uniform(0.15, 0.21)
    for cell in cells:
        nucleus_radius = np.sqrt(cell.nucleus.area / np.pi)
        count = int(rng.integers(2, 6))
        # Evenly spaced directions separate the nucleoli of a nucleus.
        angles = rng.uniform(0, 2 * np.pi) + (np.arange(count) + rng.uniform(-0.3, 0.3, count)) * (2 * np.pi / count)
        middles = cell.nucleus.point(angles, np.sqrt(rng.uniform(0.03, 0.42, count)))
        sizes = nucleus_radius * usual_size * rng.lognormal(0, 0.25, count) * (2 / count) ** 0.25
        for middle, size in zip(middles, sizes, strict=True):
            parts = int(rng.integers(2, 4))
            centres.append(middle + rng.normal(0, 0.35 * size, (parts, 2)))
            radii.append(size * rng.uniform(0.6, 1.0, parts))
    return np.concatenate([np.empty((0, 2)), *centres]), np.concatenate([np.empty(0), *radii])


def _inward(depth: Image) -> Image:
    smooth = blur(depth, 2.0)
    slopes = np.stack([cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)], axis=-1)
    steepness = np.hypot(slopes[..., 0], slopes[..., 1])
    return as_image(slopes / (steepness[..., None] + 1e-3))


def _reticulum(shape: Shape, scale: float, rng: np.random.Generator) -> Image:
    """Draw a mesh: the zero lines of a random surface form closed loops, as tubules of the reticulum do."""
    surface = smooth_noise(shape, max(rng.uniform(1.3, 2.1) * scale, 0.8), rng)
    return as_image(np.exp(-((surface / 0.4) ** 2)))
