"""Finds cells without a network: thresholds, distance transform, watershed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Self, cast

import cv2
import numpy as np

from hpa_sdk.cells.cell import Segmentation
from hpa_sdk.cells.filtered import FilteredPlane, Plane, plane_shows_cells
from hpa_sdk.cells.growing import at_full_size, cell_area, dark_lines, grow
from hpa_sdk.cells.nuclei import estimated_pixel_size, find_nuclei
from hpa_sdk.cells.regions import cells_in_one_piece
from hpa_sdk.cells.segmenter import check_packages
from hpa_sdk.cells.settings import SegmentationSettings
from hpa_sdk.cells.thresholds import Mask
from hpa_sdk.cells.tiles import Box, Labels, find_in_tiles, grow_in_tiles, tiles_of
from hpa_sdk.errors import count_of
from hpa_sdk.fields.rules import FieldRules, Trained
from hpa_sdk.fields.trained_scale import whole_field_rules
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.preprocessing import Planes, White

VERSION = "threshold and watershed 7"
"""Changes with every change of the results, also of those that start from the maps of a network."""

MOST_PIXELS = 2048 * 2048
"""Pixels in which cells are found at once: larger fields are divided into tiles, so that memory is bounded."""

CUT = "a bright part is larger than the overlap of the tiles that the field was divided into: it can be cut there"

_NUCLEI = 6  # radii beside the reach of a cell


@dataclass(frozen=True, slots=True)
class ClassicalSegmenter:
    """Finds nuclei in the blue plane and grows cells from them over the other planes.

    The red and the yellow plane decide where the border between two cells is. The green plane, the protein, only adds
    pixels to a cell: else the protein at its edge would be cut off.

    Attributes
    ----------
    settings : SegmentationSettings
        Lengths and shares.
    trained : Trained or None
        The fields that a model was trained on. If the pixel size of a field is not known, it is taken to show as many
        micrometres as those. If this is not known either, the pixel size is estimated by the size of the nuclei.
    """

    settings: SegmentationSettings = field(default_factory=SegmentationSettings)
    trained: Trained | None = None

    def __post_init__(self) -> None:
        """Check that the packages are installed."""
        check_packages()

    @classmethod
    def of_model(cls, card: ModelCard, rules: FieldRules | None, white: White | None) -> Self:
        """Return the segmenter for the fields of a model: of its training, or of the rules by which fields are read."""
        return cls(trained=whole_field_rules(card, rules, white)[2])

    @property
    def channels(self) -> tuple[str, ...]:
        """The plane of nuclei."""
        return ("blue",)

    def segment(self, planes: Planes, *, id: str, pixel_size: float | None) -> Segmentation:  # noqa: A002, ARG002
        """Find the cells of one field: see `Segmenter.segment`."""
        notes: list[str] = []
        pixel = self._pixel(planes, pixel_size, notes)
        if pixel is None:
            labels, nuclei, debris = np.zeros(planes.shape[1:], np.int32), np.zeros(planes.shape[1:], np.bool_), 0
        else:
            labels, nuclei, debris = self._labels(planes, pixel, notes)
        if debris:
            notes.append(f"{count_of(debris, 'bright part')} of the blue plane too small for a nucleus")
        cells = cells_in_one_piece(labels, pixel_size)
        if not cells:
            notes.append("no nucleus was found in the blue plane")
        return Segmentation(
            labels=labels,
            cells=cells,
            pixel_size=pixel_size,
            source="threshold and watershed",
            notes=tuple(notes),
            nuclei=nuclei,
        )

    def fingerprint(self, id: str) -> str:  # noqa: A002, ARG002 - as Segmenter
        """Describe the settings: see `Segmenter.fingerprint`."""
        return f"{VERSION} {self!r}"

    def _pixel(self, planes: Planes, pixel_size: float | None, notes: list[str]) -> float | None:
        if pixel_size is not None:
            return pixel_size
        if self.trained is not None:
            pixel = float(self.trained.pixel_size * self.trained.side / min(planes.shape[1:]))
            notes.append(f"the pixel size is unknown: cells were looked for at {pixel:.3g} um, the extent of training")
            return pixel
        estimated = estimated_pixel_size(planes[2], self.settings)
        if estimated is not None:
            radius = self.settings.nucleus_radius
            notes.append(
                f"the pixel size is unknown: it is {estimated:.2g} um if nuclei have a radius of {radius:g} um"
            )
        return estimated

    def _labels(self, planes: Planes, pixel: float, notes: list[str]) -> tuple[Labels, Mask, int]:
        height, width = planes.shape[1:]
        # By a whole number, which takes a fraction of the time of any other.
        factor = min(max(1, round(self.settings.pixel / pixel)), max(height, width))
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        pixel *= factor
        shape = (size[1], size[0])
        tiles = tiles_of(shape, MOST_PIXELS, overlap_of(pixel, self.settings))
        red, green, blue, yellow = (_reduced(plane, size) for plane in planes)
        of_nuclei = FilteredPlane.of(blue, self.settings.nucleus_blur / pixel, tiles)
        nuclei = find_in_tiles(shape, tiles, lambda window: find_nuclei(of_nuclei.within(window), pixel, self.settings))
        shown, protein = (
            [
                FilteredPlane.of(plane, self.settings.cell_blur / pixel, tiles)
                for plane in some
                if plane_shows_cells(plane, pixel)
            ]
            for some in ((red, yellow), (green,))
        )
        if not shown:
            notes.append("neither the red nor the yellow plane shows cells: borders lie between the nuclei")
        if nuclei.cut:
            notes.append(CUT)

        def grown(window: Box, seeds: Labels) -> Labels:
            lines, others = ([plane.within(window) for plane in some] for some in (shown, protein))
            area = cell_area([*lines, *others], seeds, pixel, self.settings)
            landscape = dark_lines(lines) if lines else np.zeros(seeds.shape, np.float32)
            return grow(seeds, area, landscape, pixel, self.settings)

        labels = nuclei.labels
        in_nuclei: Mask = labels > 0
        grow_in_tiles(labels, tiles, grown)
        return *at_full_size(labels, in_nuclei, (height, width)), nuclei.debris


def overlap_of(pixel: float, settings: SegmentationSettings) -> int:
    """Return how many pixels around a tile can decide which of its pixels belong to which cell."""
    return math.ceil((settings.reach + _NUCLEI * settings.nucleus_radius) / pixel)


def _reduced(plane: Plane, size: tuple[int, int]) -> Plane:
    if size == plane.shape[::-1]:
        return plane
    return cast("Plane", cv2.resize(plane, size, interpolation=cv2.INTER_AREA))
