"""Draws a field for the eye: planes of a size and brightness that can be looked at, and all four as one picture."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk.preprocessing import Planes

Shown = npt.NDArray[np.uint8]
"""Planes for the eye: uint8 of shape (4, h, w), in the order red, green, blue, yellow."""

WHITE_PERCENTILE = 99.8
"""The share of a plane's pixels, in per cent, that is drawn below full brightness."""

COLOURS = ((0.8, 0.0, 0.0), (0.0, 1.0, 0.0), (0.1, 0.2, 1.0), (0.35, 0.35, 0.0))
"""Red, green and blue that each plane adds to the composite. Yellow is faint: bright, it would look like protein."""

_MIX = np.array(COLOURS, np.float32).T
_DARKEST_WHITE = {"uint8": 8.0, "uint16": 64.0}  # an empty plane stays dark, and its noise unseen


def show(planes: Planes, *, side: int) -> Shown:
    """Bring planes to a size and brightness for the eye.

    Each plane is stretched by itself, so that brightness tells of places and not of amounts; the model sees the planes
    as they are.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    side : int
        Longest side in pixels; a smaller field is not enlarged.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (4, h, w): 255 where a plane reaches its `WHITE_PERCENTILE`.
    """
    return np.stack([_show_plane(plane, side) for plane in planes])


def _show_plane(plane: npt.NDArray[Any], side: int) -> npt.NDArray[np.uint8]:
    factor = min(1.0, side / max(plane.shape))
    if factor < 1:
        plane = cv2.resize(plane, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    white = max(float(np.percentile(plane, WHITE_PERCENTILE)), _DARKEST_WHITE[plane.dtype.name])
    return cast("npt.NDArray[np.uint8]", cv2.convertScaleAbs(plane, alpha=255 / white))


def composite(shown: Shown) -> npt.NDArray[np.uint8]:
    """Lay the four planes over each other in the colours of the Human Protein Atlas, `COLOURS`.

    Parameters
    ----------
    shown : numpy.ndarray
        As `show` gives them.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (h, w, 3), red, green and blue.
    """
    return cast("npt.NDArray[np.uint8]", cv2.transform(cv2.merge(list(shown)), _MIX))
