"""Separates bright parts of a plane from its background."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_WHITE = 255
_NORMAL = 1.4826  # standard deviation over the median absolute deviation of normally distributed values
_STEP = 2  # of every second row and column, statistics of the background are the same
_FINEST_BLUR = 0.3


class Background(NamedTuple):
    """The dark part of a plane.

    Attributes
    ----------
    level, deviation : float
        Median and standard deviation of its pixels, in grey levels.
    threshold : float
        Its brightest grey level.
    """

    level: float
    deviation: float
    threshold: float


def background_of(plane: Floats) -> Background:
    """Find the background by Otsu's threshold (IEEE Trans. SMC 9, 1979, 62) of the square roots of the grey levels.

    Of square roots, because dim cells beside bright ones otherwise belong to the background.
    """
    brightest = float(plane.max())
    if brightest <= 0:
        return Background(0.0, 0.0, 0.0)
    roots = cv2.convertScaleAbs(cv2.sqrt(plane), alpha=_WHITE / brightest**0.5)
    found, _ = cv2.threshold(roots, 0, _WHITE, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    threshold = brightest * ((found + 0.5) / _WHITE) ** 2
    some = plane[::_STEP, ::_STEP]
    dark = some[some <= threshold]
    if not dark.size:
        return Background(float(plane.min()), 0.0, threshold)
    level = float(np.median(dark))
    return Background(level, _NORMAL * float(np.median(np.abs(dark - level))), threshold)


def blurred(plane: Floats, deviation: float) -> Floats:
    """Apply a Gaussian filter, unless it is much finer than a pixel."""
    return plane if deviation < _FINEST_BLUR else cast("Floats", cv2.GaussianBlur(plane, (0, 0), deviation))


def brightest_within(plane: Floats, radius: float) -> Floats:
    """Return for each pixel the brightest one in a square around it, which is much faster than in a disc."""
    side = 2 * max(1, round(radius)) + 1
    return cast("Floats", cv2.dilate(plane, np.ones((side, side), np.uint8)))


def disc(radius: float) -> Any:  # noqa: ANN401 - as OpenCV's own types
    """Return a structuring element: a disc with a radius in pixels, at least 1."""
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def depth_of(mask: Mask) -> Floats:
    """Return the distance of each pixel of a mask from its edge, in pixels; 0 outside."""
    return cast("Floats", cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5))


def without_holes(mask: Mask, largest: float) -> Mask:
    """Fill holes of up to so many pixels that do not touch the border."""
    _, parts, found, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    height, width = mask.shape
    inside = (found[:, 0] > 0) & (found[:, 1] > 0)
    inside &= (found[:, 0] + found[:, 2] < width) & (found[:, 1] + found[:, 3] < height)
    hole = inside & (found[:, cv2.CC_STAT_AREA] <= largest)
    hole[0] = False  # the mask itself
    return cast("Mask", mask | hole[parts])
