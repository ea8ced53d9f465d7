"""Defines the 28 classes, in the order that every network and table of this project uses."""

from __future__ import annotations

import enum
from typing import Self

from hpa_sdk.errors import TableError


class Label(enum.IntEnum):
    """One of the 28 organelles of the Human Protein Atlas image classification set (Kaggle, 2018).

    The value is the class index, 0 to 27. ``str(label)`` is the name that the Human Protein Atlas uses.

    References
    ----------
    Ouyang et al., "Analysis of the Human Protein Atlas Image Classification competition", Nature Methods 16 (2019),
    doi:10.1038/s41592-019-0658-6.
    """

    NUCLEOPLASM = 0, "Nucleoplasm"
    NUCLEAR_MEMBRANE = 1, "Nuclear membrane"
    NUCLEOLI = 2, "Nucleoli"
    NUCLEOLI_FIBRILLAR_CENTER = 3, "Nucleoli fibrillar center"
    NUCLEAR_SPECKLES = 4, "Nuclear speckles"
    NUCLEAR_BODIES = 5, "Nuclear bodies"
    ENDOPLASMIC_RETICULUM = 6, "Endoplasmic reticulum"
    GOLGI_APPARATUS = 7, "Golgi apparatus"
    PEROXISOMES = 8, "Peroxisomes"
    ENDOSOMES = 9, "Endosomes"
    LYSOSOMES = 10, "Lysosomes"
    INTERMEDIATE_FILAMENTS = 11, "Intermediate filaments"
    ACTIN_FILAMENTS = 12, "Actin filaments"
    FOCAL_ADHESION_SITES = 13, "Focal adhesion sites"
    MICROTUBULES = 14, "Microtubules"
    MICROTUBULE_ENDS = 15, "Microtubule ends"
    CYTOKINETIC_BRIDGE = 16, "Cytokinetic bridge"
    MITOTIC_SPINDLE = 17, "Mitotic spindle"
    MICROTUBULE_ORGANIZING_CENTER = 18, "Microtubule organizing center"
    CENTROSOME = 19, "Centrosome"
    LIPID_DROPLETS = 20, "Lipid droplets"
    PLASMA_MEMBRANE = 21, "Plasma membrane"
    CELL_JUNCTIONS = 22, "Cell junctions"
    MITOCHONDRIA = 23, "Mitochondria"
    AGGRESOME = 24, "Aggresome"
    CYTOSOL = 25, "Cytosol"
    CYTOPLASMIC_BODIES = 26, "Cytoplasmic bodies"
    RODS_AND_RINGS = 27, "Rods & rings"

    hpa_name: str

    def __new__(cls, index: int, hpa_name: str = "") -> Self:
        """Make a member. ``Label(5)`` only looks one up and does not call this."""
        label = int.__new__(cls, index)
        label._value_ = index
        label.hpa_name = hpa_name
        return label

    def __str__(self) -> str:
        return self.hpa_name

    @classmethod
    def from_name(cls, name: str) -> Label:
        """Find a label by its HPA name in any of the published schemes.

        Parameters
        ----------
        name : str
            A name of the 28-class scheme, or a name of the 19- or 31-class scheme that means exactly one of these
            classes. Letter case and surrounding spaces are ignored.

        Raises
        ------
        TableError
            The name is unknown, or means several of the 28 classes (``"Vesicles"``), or none (``"Negative"``).
        """
        try:
            return _BY_NAME[name.strip().casefold()]
        except KeyError:
            raise TableError(
                f"{name!r} names none of the 28 classes, or more than one",
                remedy=f"Use one of: {', '.join(label.hpa_name for label in cls)}.",
            ) from None


# Later schemes renamed these classes. Classes that they merged or added have no single counterpart and are left out.
_LATER_NAMES = {
    "Centriolar satellite": Label.MICROTUBULE_ORGANIZING_CENTER,
    "Focal adhesions": Label.FOCAL_ADHESION_SITES,
    "Rods and rings": Label.RODS_AND_RINGS,
}

_BY_NAME = {label.hpa_name.casefold(): label for label in Label} | {
    name.casefold(): label for name, label in _LATER_NAMES.items()
}
