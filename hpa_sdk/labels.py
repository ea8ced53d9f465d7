"""Defines the classes that networks answer with: the 28 of 2018, other published schemes, and a lab's own."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from hpa_sdk.errors import ModelCardError, TableError


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


@dataclass(frozen=True, slots=True, order=True)
class SchemeLabel:
    """A class of a scheme other than the 28 of 2018.

    Labels of different schemes are never equal, even if their names are: the schemes draw the borders of their classes
    differently. ``int(label)`` is the index, and ``str(label)`` the name.

    Attributes
    ----------
    scheme : str
        Name of the scheme.
    index : int
        Position of the class among the outputs of the network, from 0.
    hpa_name : str
        Name of the class.
    """

    scheme: str
    index: int
    hpa_name: str

    def __int__(self) -> int:
        return self.index

    def __index__(self) -> int:
        return self.index

    def __str__(self) -> str:
        return self.hpa_name


AnyLabel = Label | SchemeLabel
"""A class of any scheme: a `Label` in the scheme of 2018, else a `SchemeLabel`."""

MOST_LABELS = 1000
"""Largest number of classes of a scheme."""

_LONGEST_NAME = 200
_SCHEME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Names are columns in tables of results, and are joined with semicolons there.
_UNUSABLE = re.compile(
    r".*[;\x00-\x1f\x7f].*|\s.*|.*\s|"
    r"id|labels|indices|error|probabilities|thresholds|files|notes|stamps|white|embedding|time|device|model_sha256"
    r"|models|views|channels|warnings|quality|disagreement|deviations|scheme|classes|",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class LabelScheme:
    """The classes that a network answers with, in the order of its outputs. A sequence of labels.

    Attributes
    ----------
    name : str
        Key of `SCHEMES`, or a lab's own name.
    names : tuple of str
        The names of the classes.
    """

    name: str
    names: tuple[str, ...]

    @cached_property
    def labels(self) -> tuple[AnyLabel, ...]:
        """The labels: of type `Label` for the 28 classes of 2018."""
        if self.name == "hpa-2018":
            return tuple(Label)
        return tuple(SchemeLabel(self.name, index, name) for index, name in enumerate(self.names))

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[AnyLabel]:
        return iter(self.labels)

    def __getitem__(self, index: int) -> AnyLabel:
        return self.labels[index]

    def from_name(self, name: str) -> AnyLabel:
        """Find a label by its name. Letter case and surrounding spaces are ignored.

        In the scheme of 2018, unambiguous names of the later schemes are found too: see `Label.from_name`.

        Raises
        ------
        TableError
            The scheme has no such class.
        """
        if self.name == "hpa-2018":
            return Label.from_name(name)
        try:
            return self._by_name[name.strip().casefold()]
        except KeyError:
            raise TableError(
                f"{name!r} names none of the {len(self)} classes of {self.name}",
                remedy=f"Use one of: {', '.join(self.names)}.",
            ) from None

    @cached_property
    def _by_name(self) -> dict[str, AnyLabel]:
        return {label.hpa_name.casefold(): label for label in self.labels}

    def check(self, where: str | None = None) -> None:
        """Check the names.

        Raises
        ------
        ModelCardError
            A published scheme has other classes, or the names of an own one can't be used.
        """
        published = SCHEMES.get(self.name)
        if published is not None and self.names != published.names:
            raise ModelCardError(
                f"the model card names {len(self)} labels that are not the {len(published)} classes of {self.name}"
                " in order",
                where=where,
                remedy="Leave the labels out, or give the scheme a name of its own.",
            )
        if not _SCHEME_NAME.fullmatch(self.name):
            raise ModelCardError(
                f"{self.name!r} can't be the name of a label scheme",
                where=where,
                remedy="Use letters, digits, dots, hyphens and underscores.",
            )
        if published is None and self.names == HPA_2018.names:
            raise ModelCardError(
                f"the label scheme {self.name!r} is unknown, and the model card does not name its labels",
                where=where,
                remedy=f"Use one of {', '.join(SCHEMES)}, or list the labels in the order of the network's outputs.",
            )
        folded = {name.casefold() for name in self.names}
        unusable = [name for name in self.names if _UNUSABLE.fullmatch(name) or len(name) > _LONGEST_NAME]
        if unusable or not 0 < len(folded) == len(self) <= MOST_LABELS:
            raise ModelCardError(
                f"the label names of the scheme {self.name} can't be used"
                + (f" ({unusable[0]!r})" if unusable else f" ({len(self)} names, {len(folded)} of them different)"),
                where=where,
                remedy=f"Give 1 to {MOST_LABELS:,} different names, without semicolons and line breaks, that are not"
                " columns of results such as 'id'.",
            )


HPA_2018 = LabelScheme("hpa-2018", tuple(label.hpa_name for label in Label))
"""The 28 classes of the Human Protein Atlas image classification set (Kaggle, 2018)."""

HPA_2021 = LabelScheme(
    "hpa-2021",
    (
        *("Nucleoplasm", "Nuclear membrane", "Nucleoli", "Nucleoli fibrillar center", "Nuclear speckles"),
        *("Nuclear bodies", "Endoplasmic reticulum", "Golgi apparatus", "Intermediate filaments", "Actin filaments"),
        *("Microtubules", "Mitotic spindle", "Centrosome", "Plasma membrane", "Mitochondria", "Aggresome", "Cytosol"),
        *("Vesicles and punctate cytosolic patterns", "Negative"),
    ),
)
"""The 19 classes of the Human Protein Atlas single-cell classification challenge (Kaggle, 2021)."""

SUBCELL_2024 = LabelScheme(
    "subcell-2024",
    (
        *("Actin filaments", "Aggresome", "Cell Junctions", "Centriolar satellite", "Centrosome"),
        *("Cytokinetic bridge", "Cytoplasmic bodies", "Cytosol", "Endoplasmic reticulum", "Endosomes"),
        *("Focal adhesion sites", "Golgi apparatus", "Intermediate filaments", "Lipid droplets", "Lysosomes"),
        *("Microtubules", "Midbody", "Mitochondria", "Mitotic chromosome", "Mitotic spindle", "Nuclear bodies"),
        *("Nuclear membrane", "Nuclear speckles", "Nucleoli", "Nucleoli fibrillar center", "Nucleoli rim"),
        *("Nucleoplasm", "Peroxisomes", "Plasma membrane", "Vesicles", "Negative"),
    ),
)
"""The 31 classes of SubCell (Gupta et al., 2024, doi:10.1101/2024.12.06.627299), as its own inference script lists."""

SCHEMES = {scheme.name: scheme for scheme in (HPA_2018, HPA_2021, SUBCELL_2024)}
"""The published schemes by name."""
