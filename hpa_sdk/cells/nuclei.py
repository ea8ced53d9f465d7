"""Finds nuclei in the plane of nuclei, and separates those that touch."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.filtered import Smooth
from hpa_sdk.cells.settings import SegmentationSettings
from hpa_sdk.cells.thresholds import (
    Background,
    Floats,
    Mask,
    background_of,
    blurred,
    brightest_within,
    depth_of,
    disc,
    flooded,
    without_holes,
)
from hpa_sdk.cells.tiles import Labels

_COARSE = 256  # pixels of the shorter side at which the size of nuclei is estimated
_DISC = 3.0  # radius of a disc over the mean distance of its points from the edge
_SMOOTH = 0.6  # um: ripples of an outline that make no nuclei of their own
_PEAKS = 2.5  # um: nuclei whose centres are nearer count as one
_ROUND = 0.8  # um: thinner parts of the mask are no nuclei


def estimated_pixel_size(blue: npt.NDArray[np.uint8 | np.uint16], settings: SegmentationSettings) -> float | None:
    """Estimate micrometres per pixel by the size of nuclei; None if there are none.

    Their radius is three times the mean distance of their pixels from the edge, as for discs. Touching nuclei change
    it little.
    """
    factor = min(1.0, _COARSE / min(blue.shape))
    size = (max(1, round(blue.shape[1] * factor)), max(1, round(blue.shape[0] * factor)))
    plane = cv2.resize(blue, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    smooth = blurred(plane, 0.5)
    background = background_of(smooth)
    pixel = pixel_size_of(smooth > background.threshold, settings.nucleus_radius) if shows_nuclei(background) else None
    return None if pixel is None else pixel * factor


def pixel_size_of(mask: Mask, nucleus_radius: float) -> float | None:
    """Return micrometres per pixel of a mask of nuclei by their usual radius; None if it is empty."""
    if not mask.any():
        return None
    radius = _DISC * float(depth_of(mask)[mask].mean())
    return float(nucleus_radius / max(radius, 2.0))


def shows_nuclei(background: Background) -> bool:
    """Whether the bright part of a plane is more than noise."""
    return background.contrast >= 1 and not background.is_noise


def find_nuclei(blue: Smooth, pixel: float, settings: SegmentationSettings) -> Labels:
    """Find the nuclei.

    Parameters
    ----------
    blue : Smooth
        The filtered plane of nuclei.
    pixel : float
        Micrometres per pixel.
    settings : SegmentationSettings
        The settings.

    Returns
    -------
    numpy.ndarray
        int32 of the shape of the plane: 0 is background, values from 1 without gaps are nuclei, and values from -1
        without gaps are bright parts that are too small.
    """
    smooth, background = blue
    if not shows_nuclei(background):
        return np.zeros(smooth.shape, np.int32)
    top = brightest_within(smooth, settings.nucleus_radius / pixel)
    halo = background.level + settings.nucleus_share * (top - background.level)
    return separated((smooth > background.threshold) & (smooth > halo), pixel, settings)


def separated(mask: Mask, pixel: float, settings: SegmentationSettings) -> Labels:
    """Separate the nuclei of a mask: a watershed of the distance from the edge, without cuts at wide necks.

    Parameters and returned values are as for `find_nuclei`, with a mask in place of the plane.
    """
    least = settings.least_nucleus / pixel**2
    filled = without_holes(mask, least).astype(np.uint8)
    opened = cv2.morphologyEx(filled, cv2.MORPH_OPEN, disc(_ROUND / pixel)) > 0
    labels = _split(np.asarray(opened, np.bool_), pixel, settings.neck)
    areas = np.bincount(labels.ravel())
    kept = areas >= least
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 1 - np.cumsum(~kept)).astype(np.int32)
    return numbers.take(labels)


def _split(mask: Mask, pixel: float, neck: float) -> Labels:
    depth = blurred(depth_of(mask), _SMOOTH / pixel)
    peaks = (depth >= brightest_within(depth, _PEAKS / pixel) - 1e-4) & mask
    _, seeds = cv2.connectedComponents(peaks.astype(np.uint8), connectivity=8)
    labels, several = flooded(-depth, cast("Labels", seeds), mask)
    return _joined(labels, depth, neck) if several else labels


def _joined(labels: Labels, depth: Floats, neck: float) -> Labels:
    """Join neighbours between which the region is as wide as they are."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - of the extra 'cells'
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - as above

    count = int(labels.max()) + 1
    widest = np.zeros(count, np.float32)
    inside = labels > 0
    np.maximum.at(widest, labels[inside], depth[inside])
    pairs, necks = [], []
    for one, other in (np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1]):
        meet = (labels[one] != labels[other]) & inside[one] & inside[other]
        here, there = labels[one][meet].astype(np.int64), labels[other][meet]
        pairs.append(np.minimum(here, there) * count + np.maximum(here, there))
        necks.append(np.minimum(depth[one][meet], depth[other][meet]))
    border, place = np.unique(np.concatenate(pairs), return_inverse=True)
    if not border.size:
        return labels
    width = np.zeros(len(border), np.float32)
    np.maximum.at(width, place, np.concatenate(necks))
    first, second = np.divmod(border, count)
    one_nucleus = width >= neck * np.minimum(widest[first], widest[second])
    joints = coo_array(
        (np.ones(int(one_nucleus.sum())), (first[one_nucleus], second[one_nucleus])), shape=(count, count)
    )
    _, groups = connected_components(joints, directed=False)
    # Label 0 is in no pair and is the first: its group stays 0.
    return np.asarray(groups, np.int32)[labels]
