"""Prepares a field for display: planes of a suitable size and brightness, and all four as one picture."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk.preprocessing import Planes

Shown = npt.NDArray[np.uint8]
"""Planes for display: uint8 of shape (4, h, w), in the order red, green, blue, yellow."""

WHITE_PERCENTILE = 99.8
"""The percentage of a plane's pixels that is drawn below full brightness."""

COLOURS = ((0.8, 0.0, 0.0), (0.0, 1.0, 0.0), (0.1, 0.2, 1.0), (0.35, 0.35, 0.0))
"""Red, green and blue that each plane adds to the composite. Yellow is faint: bright, it would look like protein."""

_MIX = np.array(COLOURS, np.float32).T
_DARKEST_WHITE = {"uint8": 8.0, "uint16": 64.0}  # an empty plane stays dark, and its noise invisible


def show(planes: Planes, *, side: int) -> Shown:
    """Scale planes to a size and brightness for display.

    Each plane is stretched separately, so brightness shows positions and not amounts. The model gets the original
    planes.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    side : int
        Longest side in pixels. A smaller field is not enlarged.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (4, h, w): 255 where a plane reaches its `WHITE_PERCENTILE`. A plane of one grey level is not
        stretched.
    """
    return np.stack([_show_plane(plane, side) for plane in planes])


def _show_plane(plane: npt.NDArray[Any], side: int) -> npt.NDArray[np.uint8]:
    factor = min(1.0, side / max(plane.shape))
    if factor < 1:
        plane = cv2.resize(plane, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    white = max(float(np.percentile(plane, WHITE_PERCENTILE)), _DARKEST_WHITE[plane.dtype.name])
    if plane.min() == plane.max():
        white = float(np.iinfo(plane.dtype).max)  # stretched, a dark plane of one grey level would be all white
    return cast("npt.NDArray[np.uint8]", cv2.convertScaleAbs(plane, alpha=255 / white))


def composite(shown: Shown) -> npt.NDArray[np.uint8]:
    """Overlay the four planes in the colours of the Human Protein Atlas, `COLOURS`.

    Parameters
    ----------
    shown : numpy.ndarray
        The output of `show`.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (h, w, 3), red, green and blue.
    """
    return cast("npt.NDArray[np.uint8]", cv2.transform(cv2.merge(list(shown)), _MIX))
