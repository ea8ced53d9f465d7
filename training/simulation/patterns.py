"""Maps each label to the function that draws it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hpa_sdk.labels import Label
from training.simulation import (
    border_patterns,
    centrosome_patterns,
    cytoplasm_patterns,
    division_patterns,
    filament_patterns,
    nucleus_patterns,
    vesicle_patterns,
)
from training.simulation.drawing import Image
from training.simulation.scene import Scene


class Pattern(Protocol):
    """The signature of all functions of the pattern modules and of `reference_planes`."""

    def __call__(self, scene: Scene, rng: np.random.Generator) -> Image:
        """Draw the light of a protein in the organelle.

        Parameters
        ----------
        scene : Scene
            The cells and their maps.
        rng : numpy.random.Generator
            Source of randomness, for the variation between cells and fields.

        Returns
        -------
        ndarray, float32, shape (side, side)
            Light before optics, of the size of the scene's canvas: 0 where there is none, around 1 where structures
            are brightest.
        """


PATTERNS: dict[Label, Pattern] = {
    Label.NUCLEOPLASM: nucleus_patterns.nucleoplasm,
    Label.NUCLEAR_MEMBRANE: nucleus_patterns.nuclear_membrane,
    Label.NUCLEOLI: nucleus_patterns.nucleoli,
    Label.NUCLEOLI_FIBRILLAR_CENTER: nucleus_patterns.fibrillar_centers,
    Label.NUCLEAR_SPECKLES: nucleus_patterns.nuclear_speckles,
    Label.NUCLEAR_BODIES: nucleus_patterns.nuclear_bodies,
    Label.ENDOPLASMIC_RETICULUM: cytoplasm_patterns.endoplasmic_reticulum,
    Label.GOLGI_APPARATUS: cytoplasm_patterns.golgi_apparatus,
    Label.PEROXISOMES: vesicle_patterns.peroxisomes,
    Label.ENDOSOMES: vesicle_patterns.endosomes,
    Label.LYSOSOMES: vesicle_patterns.lysosomes,
    Label.INTERMEDIATE_FILAMENTS: filament_patterns.intermediate_filaments,
    Label.ACTIN_FILAMENTS: filament_patterns.actin_filaments,
    Label.FOCAL_ADHESION_SITES: filament_patterns.focal_adhesions,
    Label.MICROTUBULES: filament_patterns.microtubules,
    Label.MICROTUBULE_ENDS: filament_patterns.microtubule_ends,
    Label.CYTOKINETIC_BRIDGE: division_patterns.cytokinetic_bridge,
    Label.MITOTIC_SPINDLE: division_patterns.mitotic_spindle,
    Label.MICROTUBULE_ORGANIZING_CENTER: centrosome_patterns.microtubule_organizing_center,
    Label.CENTROSOME: centrosome_patterns.centrosome,
    Label.LIPID_DROPLETS: vesicle_patterns.lipid_droplets,
    Label.PLASMA_MEMBRANE: border_patterns.plasma_membrane,
    Label.CELL_JUNCTIONS: border_patterns.cell_junctions,
    Label.MITOCHONDRIA: cytoplasm_patterns.mitochondria,
    Label.AGGRESOME: cytoplasm_patterns.aggresome,
    Label.CYTOSOL: cytoplasm_patterns.cytosol,
    Label.CYTOPLASMIC_BODIES: vesicle_patterns.cytoplasmic_bodies,
    Label.RODS_AND_RINGS: vesicle_patterns.rods_and_rings,
}
