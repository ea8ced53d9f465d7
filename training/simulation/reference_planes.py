"""Draws the three reference planes, which do not depend on the labels: microtubules, nucleus and reticulum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.simulation.cytoplasm_patterns import endoplasmic_reticulum
from training.simulation.division_patterns import bridge_bundles, metaphase_plates, spindles
from training.simulation.drawing import as_image, smooth_noise
from training.simulation.filament_patterns import microtubules

if TYPE_CHECKING:
    from training.simulation.drawing import Image
    from training.simulation.scene import Scene

_CHROMOCENTER_SHARE = 0.3


def red_plane(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw tubulin: microtubules, spindles and the bundles of bridges."""
    staining = scene.per_cell(rng.lognormal(0, 0.25, len(scene.cells)))
    diffuse = rng.uniform(0.05, 0.2) * scene.thickness * (1 - 0.7 * scene.nucleus)
    divisions = 1.6 * spindles(scene, rng) + 1.8 * bridge_bundles(scene, gap=0.1)
    return as_image((microtubules(scene, rng) + diffuse) * staining + divisions)


def blue_plane(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw DNA: nuclei with chromatin grain and dark nucleoli, and the plates of metaphase."""
    content = scene.per_cell(rng.lognormal(0, 0.2, len(scene.cells)))
    grain = smooth_noise(scene.shape, rng.uniform(1.2, 2.4) * scene.scale, rng)
    chromatin = 0.6 + rng.uniform(0.08, 0.2) * grain
    if rng.random() < _CHROMOCENTER_SHARE:
        clumps = smooth_noise(scene.shape, 2.2 * scene.scale, rng)
        chromatin += rng.uniform(0.3, 0.7) * np.clip(clumps - 1.5, 0, 1)
    dark = 1 - rng.uniform(0.4, 0.75) * scene.nucleoli
    rim = 0.15 * np.exp(-scene.nucleus_depth / 3)
    return as_image(
        scene.nucleus * (np.clip(chromatin, 0.1, None) * dark + rim) * content + 1.3 * metaphase_plates(scene, rng)
    )


def yellow_plane(scene: Scene, rng: np.random.Generator) -> Image:
    """Draw the endoplasmic reticulum."""
    return endoplasmic_reticulum(scene, rng) * scene.per_cell(rng.lognormal(0, 0.25, len(scene.cells)))
