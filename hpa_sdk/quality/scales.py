"""Splits a plane into structures of different size by a Haar pyramid, which costs little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

SIDE = 512
"""Planes with a longer side than this are reduced to it: lengths in pixels then mean the same for every camera."""

LEAST_SIDE = 384
"""Planes with a shorter side show too little for these measures."""

_LEVELS = 6  # halvings: 512 to 8 pixels
_ROWS = 16  # two of so many rows are enough to estimate noise
_WHITE = 255
_DARK = 1e-6

_Floats = npt.NDArray[np.floating[Any]]
_Plane = npt.NDArray[np.uint8 | np.uint16]


class Scales(NamedTuple):
    """The structures of a plane, in grey levels where white is 255.

    Attributes
    ----------
    bands : numpy.ndarray
        Shape (5,): variance of structures of about 4 to 8 pixels, 8 to 16, ..., 64 to 128. The difference between the
        variances of two levels of the pyramid: means of squares of pixels are projections, so the parts add up.
    noise : float
        From `noise_of`.
    half : numpy.ndarray
        uint8: the plane at half its size.
    normalized : numpy.ndarray
        Shape (pixels,): the plane at a quarter of its size, with mean 0 and length 1.
    """

    bands: _Floats
    noise: float
    half: npt.NDArray[np.uint8]
    normalized: npt.NDArray[np.float32]

    @property
    def coarseness(self) -> float:
        """Mean number of the band, weighted with its variance."""
        return float(np.arange(len(self.bands)) @ self.bands / (self.bands.sum() + _DARK))


def scales_of(planes: Sequence[_Plane], whites: Sequence[float]) -> list[Scales]:
    """Split planes of one size into bands; together, because many calls for little work would cost more than the work.

    Parameters
    ----------
    planes : sequence of numpy.ndarray
        uint8 or uint16 of shape (H, W), not constant, at most four.
    whites : sequence of float
        The grey level of each that counts as 1.
    """
    if not planes:
        return []
    planes = [_reduced(plane) for plane in planes]
    scales = [1.0 if plane.dtype == np.uint8 else _WHITE / white for plane, white in zip(planes, whites, strict=True)]
    smaller = [_halved(plane) for plane in planes]
    # One buffer for all planes: new memory for each would cost as much as the work in it.
    buffer = np.empty(smaller[0].shape, np.float32)
    quarters = []
    for half in smaller:
        np.copyto(buffer, half)
        quarter = _halved(buffer)
        quarter -= cv2.mean(quarter)[0]
        quarters.append(quarter)
    lengths = [cv2.norm(quarter) for quarter in quarters]
    level = cv2.merge([_halved(quarter) for quarter in quarters])
    variances = [
        [_variances(half)[0] for half in smaller],
        [length**2 / quarters[0].size for length in lengths],
        _variances(level),
    ]
    while len(variances) < _LEVELS:
        level = _halved(level)
        variances.append(_variances(level))
    found = []
    for at, plane in enumerate(planes):
        fine = [of_level[at] for of_level in variances]
        bands = [max(fine[place] - fine[place + 1], 0) * scales[at] ** 2 for place in range(_LEVELS - 1)]
        around = quarters[at].ravel()
        around /= max(lengths[at], _DARK)
        noise = noise_of(plane) * scales[at]
        found.append(Scales(np.array(bands), noise, _in_8_bits(smaller[at], scales[at]), around))
    return found


def _reduced(plane: _Plane) -> _Plane:
    shorter = min(plane.shape)
    if shorter <= SIDE:
        return plane
    size = tuple(round(length * SIDE / shorter) for length in reversed(plane.shape))
    return cast("_Plane", cv2.resize(plane, size, interpolation=cv2.INTER_AREA))


def _in_8_bits(plane: Any, scale: float) -> npt.NDArray[np.uint8]:  # noqa: ANN401 - as OpenCV's own types
    return cast("npt.NDArray[np.uint8]", plane if plane.dtype == np.uint8 else cv2.convertScaleAbs(plane, alpha=scale))


def noise_of(plane: _Plane) -> float:
    """Estimate the standard deviation of the noise, in grey levels.

    From the diagonal details of the finest scale of a Haar transform, in which structures have the smallest share
    (Donoho and Johnstone, Biometrika 81, 1994, 425). Their mean size, not the median, because the median is 0 where
    much of a plane is black. Fine structures count as noise, as in every estimate from one picture.
    """
    height, width = plane.shape[0] // _ROWS * _ROWS, plane.shape[1] // 2 * 2
    rows = plane[:height, :width].reshape(-1, _ROWS, width)
    kind = np.int16 if plane.dtype == np.uint8 else np.int32
    signed: npt.NDArray[Any] = rows[:, :2].astype(kind)
    vertical = signed[:, 0] - signed[:, 1]
    diagonal = vertical[:, ::2] - vertical[:, 1::2]
    return float(cv2.norm(diagonal, cv2.NORM_L1) / diagonal.size * np.sqrt(np.pi / 2) / 2)


def _halved(plane: Any) -> Any:  # noqa: ANN401 - of the type of the plane
    height, width = plane.shape[:2]
    return cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def _variances(plane: Any) -> list[float]:  # noqa: ANN401 - as above
    """Return the variance of each channel."""
    return [float(deviation) ** 2 for deviation in cv2.meanStdDev(plane)[1].ravel()]
