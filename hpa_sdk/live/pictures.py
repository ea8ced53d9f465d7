"""Draws the pictures of a field for the page: its colour composite, or one plane in the tint of its channel."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from hpa_sdk.fields.composite import composite, show
from hpa_sdk.fields.samples import Channel
from hpa_sdk.preprocessing import Planes

View = Literal["composite", "red", "green", "blue", "yellow"]
"""What can be drawn of a field."""

# Light tints: detail in pure blue is lost on most screens and to most eyes.
_TINTS = {"red": (255, 96, 96), "green": (96, 255, 120), "blue": (120, 160, 255), "yellow": (255, 226, 96)}
_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 3]


def draw(planes: Planes, view: View, *, side: int) -> bytes:
    """Draw a field, as bright as `hpa_sdk.fields.composite.show` makes it.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    view : str
        The channel to draw, or ``"composite"``.
    side : int
        Longest side of the picture in pixels; a smaller field is not enlarged.

    Returns
    -------
    bytes
        A PNG.
    """
    if view == "composite":
        colours = composite(show(planes, side=side))
    else:
        at = list(Channel).index(Channel(view))
        (plane,) = show(planes[at : at + 1], side=side)
        colours = (plane[..., None] * (np.array(_TINTS[view], np.float32) / 255)).astype(np.uint8)
    written, png = cv2.imencode(".png", cv2.cvtColor(colours, cv2.COLOR_RGB2BGR), _FAST)
    if not written:
        raise RuntimeError("OpenCV wrote no PNG")
    return png.tobytes()
