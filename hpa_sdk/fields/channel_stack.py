"""What every reader of microscopes' files gives, and the checks that they share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.pixel_rules import DEPTHS
from hpa_sdk.planes import Planes

_SQUARE = 0.01
_MICROMETRES = {
    "m": 1e6,
    "meter": 1e6,
    "mm": 1e3,
    "millimeter": 1e3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
}


@dataclass(frozen=True, slots=True)
class ChannelStack:
    """One channel of a scene, as long as its file is open.

    Attributes
    ----------
    name : str
        What the file calls it; can be empty.
    number : int or None
        Its number in the file, from 0, or in the file's name.
    path : pathlib.Path
        The file.
    depth : int
        Number of planes along z.
    read : callable
        Gives the plane of an index along z: uint8 or uint16 of shape (H, W).
    pixel_size : float or None
        Micrometres a pixel; None where the file does not say it.
    notes : tuple of str
        What reading does to the pixels, and what of the file is not read.
    """

    name: str
    number: int | None
    path: Path
    depth: int
    read: Callable[[int], Planes]
    pixel_size: float | None
    notes: tuple[str, ...] = ()


Scene = Callable[[], tuple[ChannelStack, ...]]
"""Looks at one field of a file; raises `PlaneError` where its form is not that of a field."""


def load(package: str, *, extra: str, path: Path) -> Any:  # noqa: ANN401 - packages without types
    """Import a package that only some files need.

    Raises
    ------
    PlaneError
        It is not installed; the message gives the install line.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise PlaneError(
            f"this file needs the package {package} ({error})",
            where=path,
            remedy=f"Install it: pip install 'hpa-sdk[{extra}]'.",
        ) from error


def micrometres(sizes: tuple[float | None, float | None], unit: str, path: Path) -> float | None:
    """Give the size of a pixel in micrometres.

    Parameters
    ----------
    sizes : tuple of float or None
        Height and width.
    unit : str
        Their unit.
    path : pathlib.Path
        The file, for messages.

    Returns
    -------
    float or None
        None where the size is not told, not above 0, or of a unit that is no length, such as ``"pixel"``.

    Raises
    ------
    PlaneError
        Pixels are not square.
    """
    height, width = sizes
    factor = _MICROMETRES.get(unit)
    if not height or not width or factor is None or not 0 < min(height, width) <= max(height, width) < math.inf:
        return None
    if abs(height / width - 1) > _SQUARE:
        raise PlaneError(
            f"a pixel is {height:g} high and {width:g} wide", where=path, remedy="Export it with square pixels."
        )
    return width * factor


def check_type(dtype: np.dtype[Any], path: Path) -> None:
    """Check the type of a picture's pixels, whatever their byte order.

    Raises
    ------
    PlaneError
        It is not uint8 or uint16.
    """
    if dtype.kind != "u" or 8 * dtype.itemsize not in DEPTHS:
        name = f"signed {dtype.newbyteorder('=')}" if dtype.kind == "i" else dtype.newbyteorder("=")
        raise PlaneError(
            f"the pixels are {name}, not of 8 or 16 bits", where=path, remedy="Export the camera's own numbers."
        )
