"""Draws the five patterns of the cytoskeleton and its anchors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.simulation.drawing import Image, as_image, blur, smooth_noise, splat
from training.simulation.sampling import scatter, values_at
from training.simulation.walks import Filaments, grow

if TYPE_CHECKING:
    from training.simulation.drawing import Points
    from training.simulation.scene import Scene


def intermediate_filaments(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw wavy filaments that wind round the nucleus as a cage, thickest on one side."""
    starts, directions, lengths = [np.empty((0, 2))], [np.empty(0)], [np.empty(0)]
    usual_count = rng.uniform(110, 190)
    usual_length = rng.uniform(0.9, 1.6)
    for number in scene.nucleated:
        cell = scene.cells[number]
        count = int(usual_count * rng.lognormal(0, 0.2))
        crowded_side = cell.centrosome_side + rng.normal(0, 1.0, count)
        angles = np.where(rng.random(count) < 0.55, crowded_side, rng.uniform(0, 2 * np.pi, count))
        starts.append(cell.nucleus.point(angles, rng.uniform(1.0, 1.3, count)))
        # 45 degrees off the tangent on average, so that the cage spirals outwards.
        lean = rng.normal(np.pi / 2, 0.5, count) * rng.choice([-1.0, 1.0], count)
        directions.append(angles + lean)
        lengths.append(np.sqrt(cell.nucleus.area / np.pi) * usual_length * rng.uniform(0.3, 2.2, count))
    round_nucleus = _round_nucleus(scene) * np.exp(-scene.from_nucleus / 18)[..., None]
    threads = grow(
        scene.owner,
        np.concatenate(starts),
        np.concatenate(directions),
        np.concatenate(lengths),
        rng,
        step=1.8 * scene.scale,
        wobble=0.04,
        waviness=0.9,
        push=0.08 * round_nucleus,
    )
    fine = _sharpen(scene, threads, rng)
    near = np.exp(-scene.from_nucleus / rng.uniform(10, 18)) * scene.cytoplasm
    return as_image(fine * (1 - 0.75 * scene.nucleus) + rng.uniform(0.05, 0.2) * near)


def actin_filaments(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw long straight parallel stress fibres, and the cortex."""
    starts = scatter(scene, (scene.depth > 2) * rng.uniform(0.0025, 0.005), rng)
    fibre_axis = np.array([cell.axis for cell in scene.cells]) + rng.normal(0, 0.1, len(scene.cells))
    own_axis = values_at(scene.per_cell(fibre_axis), starts)
    fibres = np.zeros(scene.shape, dtype=np.float32)
    lengths = scene.scale * np.clip(rng.lognormal(np.log(30), 0.6, len(starts)), 5, 120)
    brightness = rng.lognormal(-0.5, 0.6, len(starts))
    spread = rng.normal(0, 0.06, len(starts))
    for turn in (0.0, np.pi):
        half = grow(scene.owner, starts, own_axis + spread + turn, lengths, rng, step=2.0 * scene.scale, wobble=0.004)
        fibres += half.draw(scene.shape, brightness)
    cortex = np.exp(-scene.depth / 1.8) * (scene.owner >= 0)
    uneven = np.clip(0.6 + 0.5 * smooth_noise(scene.shape, 9 * scene.scale, rng), 0, 1.5)
    level = rng.uniform(0.3, 0.8)
    return as_image(_even_out(fibres) + level * cortex * uneven + rng.uniform(0.02, 0.08) * scene.thickness)


def focal_adhesions(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw short bright streaks near the cell's edge that point outwards."""
    fronts = np.clip(smooth_noise(scene.shape, 14 * scene.scale, rng) + 0.3, 0, 2)
    close_to_edge = np.exp(-0.5 * ((scene.depth - 9) / 5) ** 2) * (scene.depth > 3)
    starts = scatter(scene, rng.uniform(0.007, 0.014) * close_to_edge * fronts, rng)
    directions = _outward_angles(scene, starts) + rng.normal(0, 0.25, len(starts))
    lengths = scene.scale * rng.uniform(5, 14, len(starts))
    streaks = grow(scene.owner, starts, directions, lengths, rng, step=0.8 * scene.scale, wobble=0.01)
    drawn = blur(streaks.draw(scene.shape, rng.uniform(0.5, 1, len(starts))), max(0.9 * scene.scale, 0.3))
    return as_image(_even_out(drawn) + rng.uniform(0.03, 0.15) * scene.thickness * (1 - 0.3 * scene.nucleus))


def microtubules(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw the microtubules, dimmer over the nucleus."""
    over_nucleus = rng.uniform(0.55, 0.85) * scene.nucleus
    thin_edge = rng.uniform(0, 0.6) * (1 - scene.thickness)
    drawn = _sharpen(scene, scene.microtubules, rng) * (1 - over_nucleus) * (1 - thin_edge)
    return as_image(drawn + rng.uniform(0.02, 0.1) * scene.thickness * (1 - scene.nucleus))


def microtubule_ends(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw short comets at the tips of the microtubules, and at those of others that the red plane does not resolve."""
    tubules = scene.microtubules
    last = tubules.last_step()
    each = np.arange(len(last))
    grown = tubules.present[0]
    tips, towards = tubules.points[last, each][grown], tubules.headings[last, each][grown]
    periphery = np.exp(-scene.depth / rng.uniform(14, 24)) * (scene.cytoplasm & (scene.depth > 2))
    others = scatter(scene, 0.006 * periphery, rng)
    directions = np.concatenate([np.arctan2(towards[:, 1], towards[:, 0]), _outward_angles(scene, others)])
    starts = np.concatenate([tips, others])
    tail = np.linspace(0, 1, 8)
    # Brightest at the tip and fading backwards, so that a dash becomes a comet.
    lengths = scene.scale * rng.uniform(4, 8, len(starts))
    back = -np.stack([np.cos(directions), np.sin(directions)], axis=-1) * lengths[:, None]
    points = starts[:, None, :] + tail[None, :, None] * back[:, None, :]
    light = rng.uniform(0.5, 1, len(starts))[:, None] * np.exp(-2.2 * tail)
    comets = blur(splat(scene.shape, points, light), max(0.7 * scene.scale, 0.3))
    return as_image(_even_out(comets) * (1 - 0.8 * scene.nucleus) + 0.03 * scene.thickness)


def _round_nucleus(scene: Scene) -> Image:
    """Point towards the nearest nucleus with unit vectors, which bend a filament round it."""
    smooth = blur(scene.from_nucleus, max(2 * scene.scale, 0.5))
    down, across = np.gradient(smooth)
    steepness = np.hypot(across, down)[..., None] + 1e-3
    return as_image(-np.stack([across, down], axis=-1) / steepness)


def _outward_angles(scene: Scene, points: Points) -> Points:
    """Directions towards the cell's edge at some points, in radians."""
    columns, rows = np.clip(points.astype(np.intp), 0, scene.shape[1] - 1).T
    inward = scene.inward[rows, columns]
    return np.asarray(np.arctan2(-inward[:, 1], -inward[:, 0]), dtype=np.float64)


def _sharpen(scene: Scene, filaments: Filaments, rng: np.random.Generator) -> Image:
    brightness = rng.lognormal(-0.1, 0.4, filaments.present.shape[1])
    return as_image(_even_out(blur(filaments.draw(scene.shape, brightness), max(0.7 * scene.scale, 0.3))))


def _even_out(light: Image) -> Image:
    """Scale lines to about 1 and flatten the peaks where many cross."""
    usual = np.quantile(light[light > light.max() / 100], 0.9) if light.any() else 1.0
    return as_image(1.6 * (1 - np.exp(-light / np.float32(usual))))
