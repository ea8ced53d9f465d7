"""What every reader of microscopes' files gives, and the checks that they share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from hpa_sdk.errors import PlaneError
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
    """

    name: str
    number: int | None
    path: Path
    depth: int
    read: Callable[[int], Planes]
    pixel_size: float | None


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


def check_one_moment(sizes: Mapping[str, int], known: str, path: Path) -> None:
    """Check that a picture has no axis beyond those of a field.

    Parameters
    ----------
    sizes : mapping of str to int
        Length of each axis.
    known : str
        The axes that may be longer than 1.
    path : pathlib.Path
        The file, for messages.

    Raises
    ------
    PlaneError
        It has several time points, colours, or another axis.
    """
    for axis, size in sizes.items():
        if axis not in known and size > 1:
            what = {"T": "time points", "S": "colours a pixel"}.get(axis, f"positions along an axis {axis}")
            raise PlaneError(
                f"the picture has {size} {what}",
                where=path,
                remedy="Export one moment, with each channel in grey: a field is z planes of four channels.",
            )


def check_type(dtype: object, path: Path) -> None:
    """Check the type of a picture's pixels.

    Raises
    ------
    PlaneError
        It is not uint8 or uint16.
    """
    if str(dtype) not in {"uint8", "uint16"}:
        raise PlaneError(
            f"the pixels are {dtype}, not of 8 or 16 bits", where=path, remedy="Export the camera's own numbers."
        )
