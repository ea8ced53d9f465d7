"""Finds cells without a network: thresholds, distance transform, watershed."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from hpa_sdk.cells.cell import Segmentation
from hpa_sdk.cells.growing import Smooth, at_full_size, cell_area, dark_lines, grow
from hpa_sdk.cells.nuclei import Labels, estimated_pixel_size, find_nuclei
from hpa_sdk.cells.regions import cells_of
from hpa_sdk.cells.segmenter import check_packages
from hpa_sdk.cells.settings import SegmentationSettings
from hpa_sdk.cells.thresholds import Floats, Mask, shows_cells
from hpa_sdk.errors import count_of
from hpa_sdk.fields.rules import Trained
from hpa_sdk.preprocessing import Planes

VERSION = "threshold and watershed 3"
"""Changes with every change of the results, also of those that start from the maps of a network."""

MOST_PIXELS = 4096 * 4096
"""Pixels at which cells are found: larger fields are reduced, so that memory is bounded."""


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
        cells = cells_of(labels, pixel_size)
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
        fine = pixel / self.settings.pixel
        factor = min(1.0, max(fine, 1 / max(height, width)), (MOST_PIXELS / (height * width)) ** 0.5)
        if factor < min(fine, 1.0):
            notes.append(f"the field is large: cells were looked for at {pixel / factor:.2g} um per pixel")
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        pixel /= factor
        red, green, blue, yellow = (_reduced(plane, size) for plane in planes)
        shown = [Smooth.of(plane, pixel, self.settings) for plane in (red, yellow) if shows_cells(plane, pixel)]
        nuclei, debris = find_nuclei(blue, pixel, self.settings)
        if not shown:
            notes.append("neither the red nor the yellow plane shows cells: borders lie between the nuclei")
        protein = [Smooth.of(green, pixel, self.settings)] if shows_cells(green, pixel) else []
        area = cell_area([*shown, *protein], nuclei, pixel, self.settings)
        landscape = dark_lines(shown) if shown else np.zeros(blue.shape, np.float32)
        labels = grow(nuclei, area, landscape, pixel, self.settings)
        return *at_full_size(labels, nuclei, (height, width)), debris


def _reduced(plane: Planes, size: tuple[int, int]) -> Floats:
    if size == plane.shape[::-1]:
        return plane.astype(np.float32)
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA).astype(np.float32)
