"""Finds the bright parts of a plane, which are the nuclei if it is the plane of nuclei."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

_SIDE = 512
_SMOOTH = (3, 3)
_WHITE = 255
_ROOTS = np.rint(np.sqrt(np.arange(_WHITE + 1) / _WHITE) * _WHITE).astype(np.uint8)
_DISC = 3  # radius of a disc over the mean distance of its points from the edge
_DARK = 1e-6


class Size(NamedTuple):
    """The size of the bright parts of a plane.

    Attributes
    ----------
    radius : float
        In pixels of a field of 512, in octaves (log2). Three times the mean distance of their pixels from the edge, as
        for a disc. Nuclei that touch change it little.
    share : float
        Of the plane, in octaves (log2). If only few of the nuclei are above the threshold, because others are much
        brighter, both are small.
    """

    radius: float
    share: float


class Bright:
    """The bright parts of a plane: those above Otsu's threshold (IEEE Trans. Systems, Man, Cybernetics 9, 1979, 62).

    Parameters
    ----------
    half : numpy.ndarray
        uint8: the plane at half its size.
    """

    def __init__(self, half: npt.NDArray[np.uint8]) -> None:
        self._half = half

    @cached_property
    def _smooth(self) -> npt.NDArray[np.uint8]:
        height, width = self._half.shape
        smaller: Any = cv2.resize(self._half, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        return cast("npt.NDArray[np.uint8]", cv2.GaussianBlur(smaller, _SMOOTH, 0))

    def size(self) -> Size:
        """Return their size."""
        return _size(_above_otsu(self._smooth))

    def size_of_roots(self) -> Size:
        """Return the same after the square root of the grey levels, by which dim nuclei count too."""
        return _size(_above_otsu(cv2.LUT(self._smooth, _ROOTS)))

    def separation(self) -> float:
        """Return the variance between bright and dark parts as a share of the whole variance, 0 to 1."""
        # The sum of what is left is ten times as fast as a mean with a mask.
        kept = cv2.threshold(self._half, 0, _WHITE, cv2.THRESH_TOZERO + cv2.THRESH_OTSU)[1]
        count = cv2.countNonZero(kept)
        mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(self._half))
        if count in {0, kept.size}:
            return 0.0
        between = count / (kept.size - count) * (cv2.sumElems(kept)[0] / count - mean) ** 2
        return between / max(deviation**2, _DARK)


def _above_otsu(plane: Any) -> Any:  # noqa: ANN401 - as OpenCV's own types
    return cv2.threshold(plane, 0, _WHITE, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1]


def _size(bright: Any) -> Size:  # noqa: ANN401 - as above
    distances = cv2.distanceTransform(bright, cv2.DIST_L2, cv2.DIST_MASK_3)
    count = max(cv2.countNonZero(bright), 1)
    radius = cv2.sumElems(distances)[0] / count * _DISC * _SIDE / min(bright.shape)
    return Size(float(np.log2(max(radius, 1))), float(np.log2(count / bright.size)))
