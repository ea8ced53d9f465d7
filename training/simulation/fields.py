"""Makes one field from its labels: scene, planes, optics."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_sdk.labels import Label
from training.simulation.drawing import Image, as_image, smooth_noise, spots
from training.simulation.optics import brightest, expose, focus
from training.simulation.patterns import PATTERNS
from training.simulation.reference_planes import blue_plane, red_plane, yellow_plane
from training.simulation.scene import Scene
from training.simulation.scene_building import build_scene

if TYPE_CHECKING:
    from collections.abc import Collection

PLANE_NAMES = ("red", "green", "blue", "yellow")

# Photons of the brightest spots, and the light that becomes white: chosen so that the planes' brightness is distributed
# as in real fields, where the protein is the dimmest and most variable of the four stains.
_USUAL_EXPOSURES = {"red": (40, 1.1), "green": (18, 1.9), "blue": (40, 1.5), "yellow": (40, 1.1)}
_SPREAD = 0.5

# Diffuse stains spread the same protein over a large area, so they are dimmer than dots, which concentrate it.
_DIFFUSE = frozenset(
    {Label.NUCLEOPLASM, Label.ENDOPLASMIC_RETICULUM, Label.PLASMA_MEMBRANE, Label.MITOCHONDRIA, Label.CYTOSOL}
)


class SimulatedField(NamedTuple):
    """A simulated field and where its cells are.

    Attributes
    ----------
    planes : ndarray, uint8, shape (4, size, size)
        Red (microtubules), green (the protein), blue (nucleus) and yellow (endoplasmic reticulum) planes.
    cells, nuclei : ndarray, uint16, shape (size, size)
        Number of the cell at each pixel from 1, or of the cell whose nucleus is there; 0 elsewhere.
    """

    planes: NDArray[np.uint8]
    cells: NDArray[np.uint16]
    nuclei: NDArray[np.uint16]


def simulate_field(labels: Collection[int], rng: np.random.Generator, *, size: int = 512) -> NDArray[np.uint8]:
    """Simulate the planes of one field: see `simulate_cells`."""
    return simulate_cells(labels, rng, size=size).planes


def simulate_cells(labels: Collection[int], rng: np.random.Generator, *, size: int = 512) -> SimulatedField:
    """Simulate one field of cells with the protein in the labelled organelles.

    Parameters
    ----------
    labels : collection of int or Label
        Class indices of the organelles. Their order does not matter.
    rng : numpy.random.Generator
        Source of randomness: equal states give equal fields.
    size : int
        Rows and columns, in pixels; the field is about 82 micrometres wide at any size.

    Returns
    -------
    SimulatedField
        The planes and the cells.

    Raises
    ------
    ValueError
        A label is not 0 to 27.
    """
    wanted = sorted({Label(label) for label in labels})
    scene = build_scene(wanted, size, rng)
    references = {"red": red_plane, "blue": blue_plane, "yellow": yellow_plane}
    lights = {"green": scene.field(_green_plane(scene, wanted, rng))}
    for name, draw in references.items():
        light = focus(scene.field(draw(scene, rng)), scene.scale, rng)
        lights[name] = light / brightest(light)
    planes = np.stack([_record(name, lights[name], rng) for name in PLANE_NAMES])
    inner = slice(scene.margin, scene.margin + size)
    cells = (scene.owner[inner, inner] + 1).astype(np.uint16)
    return SimulatedField(planes, cells, cells * (scene.nucleus_depth[inner, inner] > 0))


def _record(name: str, light: Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    photons, white = _USUAL_EXPOSURES[name]
    return expose(light, photons=photons * rng.lognormal(0, _SPREAD), white=white * rng.lognormal(0, _SPREAD), rng=rng)


def _green_plane(scene: Scene, labels: list[Label], rng: np.random.Generator) -> Image:
    """Mix the labelled patterns, each scaled to its own brightness, with unspecific binding of the antibody."""
    spread = rng.uniform(0.15, 0.5)
    # Bridges run outside the cells' outlines and must not be dark there.
    expression = scene.per_cell(rng.lognormal(0, spread, len(scene.cells)), outside=1.0)
    total = np.zeros(scene.shape, dtype=np.float32)
    for label in labels:
        light = focus(PATTERNS[label](scene, rng), scene.scale, rng)
        share = rng.uniform(0.35, 0.7) if label in _DIFFUSE and len(labels) > 1 else rng.uniform(0.65, 1.0)
        total += as_image(share / brightest(light) * light)
    grain = np.clip(1 + rng.uniform(0, 0.8) * smooth_noise(scene.shape, 1.2 * scene.scale, rng), 0, None)
    unspecific = scene.thickness * (1 - rng.uniform(-0.3, 0.6) * scene.nucleus) * grain
    total = as_image(total * expression + rng.uniform(0.01, 0.08) * unspecific)
    specks = rng.poisson(2)
    places = rng.uniform(0, scene.shape[1], (specks, 2))
    return total + spots(scene.shape, places, np.full(specks, 1.2 * scene.scale), rng.uniform(0.1, 0.6, specks))
