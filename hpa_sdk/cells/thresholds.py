"""Separates bright parts of a plane from its background."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.tiles import Labels

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_WHITE = 255
_BRIGHT = 0.99  # of the pixels
_NORMAL = 1.4826  # standard deviation over the median absolute deviation of normally distributed values
_SAMPLED = 2**13  # pixels: more give the same statistics of the background
_COARSEST = 8  # pixels from one of them to the next at most: a nucleus is 20 wide, and can be the only one
_CONTRAST = 6.0  # standard deviations: Otsu's threshold splits noise alone by fewer
_SEPARATED = 0.75  # of Otsu's threshold: that of noise alone is 0.64
_NOWHERE_DARK = 0.5  # of the square root of the brightest pixel
_RARE = 10.0  # standard deviations of noise
_FEWEST = 3  # pixels of the sample: fewer are specks
_FINEST_BLUR = 0.3
_STRUCTURE = 4.0  # um: side of the squares over which means remove noise and keep cells
_OVER_NOISE = 3.0


class Background(NamedTuple):
    """The dark part of a plane.

    Attributes
    ----------
    level, deviation : float
        Median and standard deviation of its pixels, in grey levels.
    threshold : float
        Its brightest grey level.
    separation : float
        Variance of the square roots between it and the bright part, over their whole variance: 0.64 for noise alone.
    contrast : float
        Median of the bright part over the level, in grey levels; 0 if there is no bright part.
    white : float
        99th percentile of all pixels over the level, in grey levels.
    """

    level: float
    deviation: float
    threshold: float
    separation: float
    contrast: float
    white: float

    @property
    def is_noise(self) -> bool:
        """Whether the threshold splits noise, and there is no bright part."""
        # In a dense field the dark part is the blurred gaps between nuclei: its deviation says nothing of noise.
        return self.contrast < _CONTRAST * self.deviation and self.separation < _SEPARATED


def background_of(plane: Floats) -> Background:
    """Find the background by Otsu's threshold (IEEE Trans. SMC 9, 1979, 62) of the square roots of the grey levels.

    Of square roots, because dim cells beside bright ones otherwise belong to the background.
    """
    brightest = float(plane.max())
    if brightest <= 0:
        return Background(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    step = min(math.ceil((plane.size / _SAMPLED) ** 0.5), _COARSEST)
    ordered = np.sort(plane[::step, ::step], axis=None)
    roots = np.sqrt(ordered)
    # In a plane that is nowhere dark, 256 levels from black on would be coarser than its noise.
    lowest = float(roots[0]) if roots[0] > _NOWHERE_DARK * brightest**0.5 else 0.0
    span = brightest**0.5 - lowest
    if span <= 0:
        return Background(brightest, 0.0, brightest, 0.0, 0.0, 0.0)
    in_8_bits = cv2.convertScaleAbs(roots - lowest, alpha=_WHITE / span)
    found, _ = cv2.threshold(in_8_bits, 0, _WHITE, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    background = _split(ordered, (lowest + span * (found + 0.5) / _WHITE) ** 2)
    if not background.is_noise:
        return background
    # Otsu's threshold splits the noise if less than about one pixel in a thousand is bright.
    middle = _middle(ordered)
    noise = _NORMAL * _middle(np.sort(np.abs(ordered - middle)))
    rare = ordered[np.searchsorted(ordered, middle + _RARE * noise) :]
    return background if rare.size < _FEWEST else _split(ordered, ((middle**0.5 + _middle(rare) ** 0.5) / 2) ** 2)


def _split(ordered: Floats, threshold: float) -> Background:
    split = int(np.searchsorted(ordered, threshold, side="right"))
    dark, bright, white = ordered[:split], ordered[split:], float(ordered[round((ordered.size - 1) * _BRIGHT)])
    if not (dark.size and bright.size):
        level = float(ordered[0])
        return Background(level, 0.0, threshold, 0.0, _middle(ordered) - level if bright.size else 0.0, white - level)
    level, roots, share = _middle(dark), np.sqrt(ordered), split / ordered.size
    between = share * (1 - share) * float(roots[:split].mean() - roots[split:].mean()) ** 2
    deviation = _NORMAL * _middle(np.sort(np.abs(dark - level)))
    separation = between / _deviation(roots) ** 2
    return Background(level, deviation, threshold, separation, _middle(bright) - level, white - level)


def _middle(ordered: Floats) -> float:
    return float(ordered[ordered.size // 2])


def shows_cells(plane: Floats, pixel: float) -> bool:
    """Whether a plane has structures of the size of cells, and is not noise alone.

    The mean of n pixels of white noise has its deviation over sqrt(n).
    """
    height, width = plane.shape
    side = round(_STRUCTURE / pixel)
    if side <= 1:
        return bool(plane.min() < plane.max())
    rows, columns = max(1, height // side), max(1, width // side)
    # Of whole squares, which takes a fraction of the time of any other.
    means: Any = cv2.resize(plane[: rows * side, : columns * side], (columns, rows), interpolation=cv2.INTER_AREA)
    noise = _deviation(plane) * (rows * columns / (height * width)) ** 0.5
    # Cells of a nearly empty field add little to the deviation.
    return bool(_deviation(means) > _OVER_NOISE * noise or means.max() - np.median(means) > _RARE * noise)


def _deviation(plane: Any) -> float:  # noqa: ANN401 - as OpenCV's own types
    return float(cv2.meanStdDev(plane)[1][0, 0])


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
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(framed, None, (0, 0), 1)
    if cv2.countNonZero(framed) == framed.size:
        return mask
    _, parts, found, _ = cv2.connectedComponentsWithStats(1 - framed[1:-1, 1:-1], connectivity=4)
    hole = found[:, cv2.CC_STAT_AREA] <= largest
    hole[0] = False  # what is no hole
    return mask | hole.take(cast("Labels", parts))


def flooded(landscape: Floats, seeds: Labels, mask: Mask) -> tuple[Labels, bool]:
    """Flood a landscape within a mask from numbered seeds: a watershed, over the four neighbours of each pixel.

    Parts of the mask with seeds of one number get it without one, which takes a fraction of the time.

    Returns
    -------
    labels : numpy.ndarray
        int32: the number of a seed for each pixel; 0 outside the mask, and where no seed can get.
    several : bool
        Whether a part has seeds of several numbers.
    """
    parts = cast("Labels", cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1])
    places = np.flatnonzero(seeds)
    numbers, inside = seeds.ravel()[places], parts.ravel()[places]
    of_part = np.zeros(int(parts.max()) + 1, np.int32)
    of_part[inside] = numbers
    several = np.zeros(len(of_part), np.bool_)
    several[inside[numbers != of_part[inside]]] = True
    of_part[several] = of_part[0] = several[0] = 0
    labels = of_part.take(parts)
    if not several.any():
        return labels, False
    from skimage.segmentation import watershed  # noqa: PLC0415 - of the extra 'cells'

    left = several.take(parts)
    first, top, width, height = cv2.boundingRect(left.astype(np.uint8))
    box = np.s_[top : top + height, first : first + width]
    labels[box] += watershed(landscape[box], seeds[box], mask=left[box]).astype(np.int32)
    return labels, True
