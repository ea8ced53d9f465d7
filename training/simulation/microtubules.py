"""Grows the interphase microtubules once; the red plane and three organelle patterns share them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.simulation.cells import Cell, Phase
from training.simulation.drawing import as_image
from training.simulation.walks import Filaments, Owner, grow

if TYPE_CHECKING:
    from training.simulation.drawing import Image

_EDGE_REACH = 10.0
_STEP = 1.6


def inward_push(inward: Image, depth: Image) -> Image:
    """Compute the push that turns a filament along the edge when it comes near, so that it does not leave the cell.

    Parameters
    ----------
    inward : ndarray, float32, shape (rows, columns, 2)
        Unit vectors away from the cell's edge.
    depth : ndarray, float32, shape (rows, columns)
        Distance to the cell's edge, in pixels of a field of 512.

    Returns
    -------
    ndarray, float32, shape (rows, columns, 2)
        The term that `grow` adds to a filament's direction.
    """
    closeness = np.clip(1 - depth / _EDGE_REACH, 0, 1)
    return as_image(inward * (0.14 * closeness**2)[..., None])


def grow_microtubules(
    cells: tuple[Cell, ...], owner: Owner, push: Image, scale: float, rng: np.random.Generator
) -> Filaments:
    """Grow each cell's microtubules from its centrosome, and some from other points round the nucleus.

    Parameters
    ----------
    cells : tuple of Cell
        The cells of the field.
    owner : ndarray, int16, shape (rows, columns)
        Number of the cell at each pixel, -1 outside cells.
    push : ndarray, float32, shape (rows, columns, 2)
        Push of the edge.
    scale : float
        Pixels per pixel of a field of 512.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Filaments
        The microtubules of all cells that are not in metaphase.
    """
    starts, directions, lengths = [np.empty((0, 2))], [np.empty(0)], [np.empty(0)]
    density = rng.uniform(0.8, 1.6)
    free_share = rng.uniform(0.4, 0.85)
    for cell in cells:
        if cell.phase is Phase.METAPHASE:
            continue
        radius = np.sqrt(cell.outline.area / np.pi)
        count = int(density * radius / scale)
        free = rng.random(count) < free_share
        angles = rng.uniform(0, 2 * np.pi, count)
        away = cell.nucleus.point(angles, rng.uniform(0.7, 1.5, count))
        starts.append(np.where(free[:, None], away, cell.centrosome + rng.normal(0, scale, (count, 2))))
        outward = angles + rng.normal(0, 0.9, count)
        along = cell.axis + np.pi * rng.integers(0, 2, count) + rng.normal(0, 0.5, count)
        directions.append(np.where(rng.random(count) < 0.4, along, outward))
        lengths.append(radius * rng.uniform(0.7, 2.2, count))
    return grow(
        owner,
        np.concatenate(starts),
        np.concatenate(directions),
        np.concatenate(lengths),
        rng,
        step=_STEP * scale,
        wobble=rng.uniform(0.006, 0.02),
        waviness=0.85,
        push=push,
    )
