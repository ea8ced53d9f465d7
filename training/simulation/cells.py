"""Draws position and shape of the cells of a field; all later steps depend on them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

import numpy as np

from hpa_sdk.labels import Label
from training.simulation.shapes import Outline, draw_outline

if TYPE_CHECKING:
    from collections.abc import Collection

    from training.simulation.drawing import Points

_HALF_TURN = np.pi
_UNLABELLED_MITOSIS = 0.04
_TRIES = 400
_FEWEST_CELLS = 4
_MOST_CELLS = 18


class Phase(Enum):
    """The phase of a cell's cycle."""

    INTERPHASE = auto()
    METAPHASE = auto()
    DAUGHTER = auto()


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a field.

    Parameters
    ----------
    outline, nucleus : Outline
        Outline of the cell and of its nucleus; in metaphase the second is the outline of the spindle.
    axis : float
        Direction of the long axis, of the spindle in metaphase, towards the sister in a daughter; in radians.
    centrosome : ndarray, float64, shape (2,)
        Column and row of the centrosome, in pixels.
    phase : Phase
        Phase of the cell's cycle.
    """

    outline: Outline
    nucleus: Outline
    axis: float
    centrosome: Points
    phase: Phase

    @property
    def centrosome_side(self) -> float:
        """Direction from the middle of the nucleus to the centrosome, in radians."""
        across, down = self.centrosome - self.nucleus.centre
        return float(np.arctan2(down, across))


@dataclass(frozen=True, slots=True)
class Culture:
    """The common properties of the cells of one field: the cell line and its density.

    Parameters
    ----------
    cell_radius, nucleus_radius : float
        Mean radii, in pixels.
    elongation : float
        Long axis over short axis of the cells.
    flow : float
        Common direction of the long axes, in radians.
    disorder : float
        Standard deviation of the long axes around `flow`, in radians.
    roughness : float
        Relative size of the waves on the outlines.
    tips : int
        Largest number of protrusions of a cell.
    spacing : float
        Smallest distance between the centres of two cells, in cell radii.
    crowding : float
        Area of all cells over area of the field.
    """

    cell_radius: float
    nucleus_radius: float
    elongation: float
    flow: float
    disorder: float
    roughness: float
    tips: int
    spacing: float
    crowding: float


def draw_culture(labels: Collection[Label], scale: float, rng: np.random.Generator) -> Culture:
    """Draw the common properties of the cells of a field.

    Parameters
    ----------
    labels : collection of Label
        Labels of the field: cell junctions need touching cells.
    scale : float
        Pixels of this field per pixel of a field of 512.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Culture
        The common properties.
    """
    touching = Label.CELL_JUNCTIONS in labels
    sheet = touching or rng.random() < 1 / 3
    nucleus_radius = rng.uniform(42 if touching else 33, 49) * scale
    return Culture(
        cell_radius=nucleus_radius * rng.uniform(2.0 if touching else 1.75, 2.3),
        nucleus_radius=nucleus_radius,
        elongation=rng.uniform(1.05, 1.35) if sheet else rng.uniform(1.15, 2.3),
        flow=rng.uniform(0, _HALF_TURN),
        disorder=rng.choice([0.25, 2.0]),
        roughness=rng.uniform(0.03, 0.08) if sheet else rng.uniform(0.06, 0.13),
        tips=0 if sheet else int(rng.integers(0, 4)),
        spacing=rng.uniform(1.25, 1.45) if sheet else rng.uniform(1.35, 1.7),
        crowding=rng.uniform(1.2, 1.6) if sheet else rng.uniform(0.55, 1.0),
    )


def place_cells(
    labels: Collection[Label], culture: Culture, *, first: float, last: float, rng: np.random.Generator
) -> tuple[Cell, ...]:
    """Draw the positions and shapes of the cells; dividing cells come first and lie well inside the field.

    Parameters
    ----------
    labels : collection of Label
        Labels of the field: a spindle needs a metaphase cell, a bridge two daughters.
    culture : Culture
        Common properties of the cells.
    first, last : float
        First and last column, and row, of the field, in pixels.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    tuple of Cell
        The cells. The two daughters of a pair follow each other.
    """
    radius = culture.cell_radius
    spindles = int(rng.integers(1, 4)) if Label.MITOTIC_SPINDLE in labels else int(rng.random() < _UNLABELLED_MITOSIS)
    bridges = int(rng.integers(1, 3)) if Label.CYTOKINETIC_BRIDGE in labels else int(rng.random() < _UNLABELLED_MITOSIS)
    phases = [Phase.DAUGHTER] * bridges + [Phase.METAPHASE] * spindles
    field_area = (last - first + radius) ** 2
    expected = culture.crowding * field_area / (_HALF_TURN * radius**2)
    wanted = len(phases) + int(np.clip(rng.poisson(expected), _FEWEST_CELLS, _MOST_CELLS))
    taken: list[Points] = []
    cells: list[Cell] = []
    for dart in range(_TRIES):
        if len(taken) == wanted:
            break
        dividing = len(taken) < len(phases)
        margin = radius * (1.0 if dividing else -0.45)
        centre = rng.uniform(first + margin, last - margin, 2)
        # A dense field may have no room at full spacing; the spacing then shrinks with the number of attempts.
        spacing = culture.spacing * radius * (1 - 0.3 * dart / _TRIES)
        if taken and np.min(np.hypot(*(np.array(taken) - centre).T)) < spacing:
            continue
        phase = phases[len(taken)] if dividing else Phase.INTERPHASE
        taken.append(centre)
        cells.extend(_SHAPERS[phase](centre, culture, rng))
    return tuple(cells)


def _interphase_cell(centre: Points, culture: Culture, rng: np.random.Generator) -> list[Cell]:
    axis = culture.flow + culture.disorder * rng.standard_normal()
    elongation = max(1.0, culture.elongation * rng.lognormal(0, 0.12))
    radius = culture.cell_radius * rng.lognormal(0, 0.12)
    outline = draw_outline(
        rng,
        centre=centre,
        radius=radius,
        elongation=elongation,
        angle=axis,
        roughness=culture.roughness,
        tips=int(rng.integers(0, culture.tips + 1)),
    )
    nucleus = draw_outline(
        rng,
        centre=outline.point(rng.uniform(0, 2 * _HALF_TURN), rng.uniform(0, 0.15)),
        radius=min(culture.nucleus_radius * rng.lognormal(0, 0.1), 0.62 * radius),
        elongation=min(elongation, 1.5) * rng.uniform(0.9, 1.1),
        angle=axis + rng.normal(0, 0.2),
        roughness=0.025,
    )
    side = rng.uniform(0, 2 * _HALF_TURN)
    return [Cell(outline, nucleus, axis, nucleus.point(side, rng.uniform(1.08, 1.25)), Phase.INTERPHASE)]


def _metaphase_cell(centre: Points, culture: Culture, rng: np.random.Generator) -> list[Cell]:
    axis = rng.uniform(0, 2 * _HALF_TURN)
    radius = culture.nucleus_radius * rng.uniform(1.25, 1.45)
    outline = draw_outline(rng, centre=centre, radius=radius, roughness=0.015)
    spindle = draw_outline(rng, centre=centre, radius=0.56 * radius, elongation=1.25, angle=axis)
    return [Cell(outline, spindle, axis, spindle.point(axis, 1.0), Phase.METAPHASE)]


def _daughter_cells(centre: Points, culture: Culture, rng: np.random.Generator) -> list[Cell]:
    axis = rng.uniform(0, 2 * _HALF_TURN)
    radius = culture.nucleus_radius * rng.uniform(1.15, 1.35)
    apart = radius * rng.uniform(1.12, 1.35)
    daughters = []
    for towards_sister in (axis, axis + _HALF_TURN):
        middle = centre - apart * np.array([np.cos(towards_sister), np.sin(towards_sister)])
        outline = draw_outline(
            rng, centre=middle, radius=radius, elongation=1.15, angle=axis + _HALF_TURN / 2, roughness=0.03
        )
        nucleus = draw_outline(
            rng,
            centre=outline.point(towards_sister + _HALF_TURN, 0.12),
            radius=0.52 * radius,
            elongation=1.35,
            angle=axis + _HALF_TURN / 2,
            roughness=0.03,
        )
        daughters.append(Cell(outline, nucleus, towards_sister, nucleus.point(towards_sister, 1.2), Phase.DAUGHTER))
    return daughters


_SHAPERS = {
    Phase.INTERPHASE: _interphase_cell,
    Phase.METAPHASE: _metaphase_cell,
    Phase.DAUGHTER: _daughter_cells,
}
