"""Draws one field for a bioimage.io package: the cover, and the sample tensors as pictures."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk.preprocessing import Planes

_RGB = 3
_SIDE = 256  # two panels of any content stay below the 500 kB that a cover may have

# Contributions of the red, green, blue and yellow planes to blue, green and red of the picture, in OpenCV's order.
_DISPLAYED = np.array([[0, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1]], np.float32)


def draw_cover(planes: Planes, levels: npt.NDArray[np.float32]) -> bytes:
    """Draw all four channels in their colours and, next to them, only the protein.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    levels : numpy.ndarray
        float32 of shape (4,): the grey level of each plane that is shown as white. A plane that is not taken is black.

    Returns
    -------
    bytes
        A PNG file of 512 x 256 pixels.
    """
    merged = cv2.resize(cv2.merge(list(planes)).astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    composite = cv2.transform(merged / levels, _DISPLAYED)
    protein = cv2.cvtColor(merged[..., 1] / levels[1], cv2.COLOR_GRAY2BGR)
    picture = np.hstack([composite, protein])
    return cv2.imencode(".png", (picture.clip(0, 1) * 255).round().astype(np.uint8))[1].tobytes()


def draw_tensor(tensor: npt.NDArray[Any], layout: Literal["nhwc", "nchw"] = "nchw") -> bytes:
    """Write a tensor as an uncompressed TIFF file, which every TIFF reader supports.

    Parameters
    ----------
    tensor : numpy.ndarray
        A picture, float32 or uint8, of shape (H, W, C) or (C, H, W); or numbers, float32 of shape (W,). Three colours
        in the last dimension become one page in colour, in the order red, green, blue. Others become a page each.
    layout : str
        ``"nhwc"`` if the colours of a picture are its last dimension.
    """
    if layout == "nhwc" and tensor.shape[-1] == _RGB:
        pages = [tensor[..., ::-1]]
    else:
        planes = np.moveaxis(tensor, -1, 0) if layout == "nhwc" else tensor
        pages = [np.ascontiguousarray(page) for page in planes.reshape(-1, *np.atleast_2d(planes).shape[-2:])]
    plain = (cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_NONE)
    return cv2.imencodemulti(".tif", pages, plain)[1].tobytes()
