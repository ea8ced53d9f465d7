"""Judges the segmentation: on collages whose cells are known by their black surroundings, and on simulated fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hpa_sdk import find_samples
from hpa_sdk.cells.classical import ClassicalSegmenter
from hpa_sdk.fields.reading import read_planes
from training.simulation.fields import SimulatedField, simulate_cells
from training.simulation.label_draw import draw_labels

CELLS = 9
"""Cells of a collage."""

SIMULATED_PIXEL = 0.16
"""Micrometres per pixel of a simulated field of 512 pixels."""

IOUS = (0.5, 0.7)
"""Overlaps from which a cell counts as found."""

_SEED = 2024
_LEAST_NUCLEUS = 100  # pixels of the nucleus that must be in the field, else the cell is not judged
_VISIBLE = (0, 2, 3)  # without the protein


@dataclass(frozen=True, slots=True)
class Collages:
    """The cells found in each collage.

    Attributes
    ----------
    cells : numpy.ndarray
        Their numbers.
    overlap, overlap_of_structures : numpy.ndarray
        Intersection over union of all cells and of the pixels that are not black: in any plane, and in any but the
        green one.
    """

    cells: npt.NDArray[np.int64]
    overlap: npt.NDArray[np.float64]
    overlap_of_structures: npt.NDArray[np.float64]


def judge_collages(folder: Path) -> Collages:
    """Segment collages of nine cells on black."""
    segmenter = ClassicalSegmenter()
    counts, overlaps, structures = [], [], []
    for sample in tqdm(list(find_samples(folder)), unit=" collages", disable=None):
        planes = read_planes(sample)
        found = segmenter.segment(planes, id=sample.id, pixel_size=None)
        counts.append(len(found.cells))
        overlaps.append(_iou(found.labels > 0, planes.max(axis=0) > 0))
        structures.append(_iou(found.labels > 0, planes[list(_VISIBLE)].max(axis=0) > 0))
    return Collages(np.array(counts), np.array(overlaps), np.array(structures))


@dataclass(slots=True)
class Counts:
    """Cells of simulated fields: true ones, found ones, and those that are both, by the least overlap."""

    true: int = 0
    found: int = 0
    matched: dict[float, int] | None = None

    def f1(self, iou: float) -> float:
        """Give the F1 of the cells."""
        return 2 * (self.matched or {}).get(iou, 0) / (self.true + self.found)


def judge_simulated(count: int, *, pixel_size: float | None) -> Counts:
    """Segment simulated fields of a seed of their own.

    A true cell whose nucleus is not in the field is not judged, nor is a found cell that lies on such a one.
    """
    segmenter = ClassicalSegmenter()
    total = Counts(matched=dict.fromkeys(IOUS, 0))
    for field in tqdm(_simulated(count), total=count, unit=" fields", disable=None):
        labels = segmenter.segment(field.planes, id="", pixel_size=pixel_size).labels
        _add(total, field, labels)
    return total


def _simulated(count: int) -> Iterator[SimulatedField]:
    for index in range(count):
        rng = np.random.default_rng(np.random.SeedSequence(_SEED, spawn_key=(index,)))
        yield simulate_cells(draw_labels(rng), rng)


def _add(total: Counts, field: SimulatedField, labels: npt.NDArray[np.int32]) -> None:
    true, found = int(field.cells.max()) + 1, int(labels.max()) + 1
    pixels = np.bincount(field.cells.ravel() * np.int64(found) + labels.ravel(), minlength=true * found)
    shared = pixels.reshape(true, found).astype(np.float64)
    unions = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0, keepdims=True) - shared
    judged = np.bincount(field.nuclei.ravel(), minlength=true)[:true] >= _LEAST_NUCLEUS
    judged[0] = False
    mostly = shared.argmax(axis=0)
    counted = (shared.sum(axis=0) > 0) & ((mostly == 0) | judged[mostly])
    counted[0] = False
    overlaps = (shared / np.maximum(unions, 1))[judged][:, counted]
    total.true += int(judged.sum())
    total.found += int(counted.sum())
    if total.matched is not None:
        for iou in total.matched:
            # Above a half, no cell overlaps two others.
            total.matched[iou] += int((overlaps > iou).sum())


def _iou(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))
