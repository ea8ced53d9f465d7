"""Defines what every reader of microscope files returns, and the checks that they share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.pixel_rules import DEPTHS
from hpa_sdk.files.file_state import FileState
from hpa_sdk.preprocessing import Planes

_SQUARE = 0.01
# Units of the OME schema, of OME-Zarr and of ImageJ, whose users can write any unit. Letter case matters in the short
# ones: Mm is a megametre.
_MICROMETRES = {
    **{
        f"{prefix}{metre}": 1e6 * factor
        for short, long, factor in (
            *(("Y", "yotta", 1e24), ("Z", "zetta", 1e21), ("E", "exa", 1e18), ("P", "peta", 1e15), ("T", "tera", 1e12)),
            *(("G", "giga", 1e9), ("M", "mega", 1e6), ("k", "kilo", 1e3), ("h", "hecto", 1e2), ("da", "deca", 1e1)),
            *(
                ("", "", 1.0),
                ("d", "deci", 1e-1),
                ("c", "centi", 1e-2),
                ("m", "milli", 1e-3),
                ("\u00b5", "micro", 1e-6),
            ),
            *(("\u03bc", "micro", 1e-6), ("u", "micro", 1e-6), ("n", "nano", 1e-9), ("p", "pico", 1e-12)),
            *(("f", "femto", 1e-15), ("a", "atto", 1e-18), ("z", "zepto", 1e-21), ("y", "yocto", 1e-24)),
        )
        for prefix, metre in ((short, "m"), (long, "meter"), (long, "metre"), (long, "meters"), (long, "metres"))
    },
    **dict.fromkeys(("micron", "microns"), 1.0),
    **dict.fromkeys(("\u00c5", "\u212b", "angstrom", "angstroms", "\u00e5ngstr\u00f6m"), 1e-4),
    **dict.fromkeys(("in", "inch", "inches"), 25_400.0),
    **dict.fromkeys(("thou", "mil"), 25.4),
    **dict.fromkeys(("li", "line"), 25_400.0 / 12),
    **dict.fromkeys(("pt", "point"), 25_400.0 / 72),
    **dict.fromkeys(("ft", "foot", "feet"), 304_800.0),
    **dict.fromkeys(("yd", "yard", "yards"), 914_400.0),
    **dict.fromkeys(("mi", "mile", "miles"), 1_609_344_000.0),
    "ua": 149_597_870_700e6,
    "ly": 9_460_730_472_580_800e6,
    "pc": 3.085_677_581_491_367e22,
    "parsec": 3.0857e22,
}
# These mean that there is no size, not that the unit is unknown.
_NO_UNITS = ("", "pixel", "pixels", "px", "reference frame")
_SHORT = 3


class ChannelName(str):
    """A channel's name in a file, with its other names there, such as that of the dye.

    Attributes
    ----------
    others : tuple of str
        Used if no channel's first name is a name that the rules look for. The more specific ones come first.
    """

    __slots__ = ("others",)

    others: tuple[str, ...]

    def __new__(cls, *names: str) -> Self:
        """Use the first non-empty name as the name, and those after it as the others."""
        there = list(dict.fromkeys(name.strip() for name in names if name.strip()))
        name = super().__new__(cls, there[0] if there else "")
        name.others = tuple(there[1:])
        return name

    def __repr__(self) -> str:
        """Show all names, for messages."""
        return " or ".join(map(repr, (str(self), *self.others)))


@dataclass(frozen=True, slots=True)
class ChannelStack:
    """One channel of a scene. Valid while its file is open.

    Attributes
    ----------
    name : str
        Its name in the file. Can be empty. A `ChannelName` if it has several names.
    number : int or None
        Its number in the file, from 0, or in the file name.
    path : pathlib.Path
        The file.
    depth : int
        Number of planes along z.
    read : callable
        Returns the plane at an index along z: uint8 or uint16 of shape (H, W).
    pixel_size : float or None
        Micrometres per pixel; None if the file does not give it.
    notes : tuple of str
        How reading changes the pixels, and which parts of the file are not read.
    further : tuple of FileState
        The state of the other files that its scene is read from, sorted by path.
    """

    name: str
    number: int | None
    path: Path
    depth: int
    read: Callable[[int], Planes]
    pixel_size: float | None
    notes: tuple[str, ...] = ()
    further: tuple[FileState, ...] = ()


Scene = Callable[[], tuple[ChannelStack, ...]]
"""Reads the metadata of one field in a file. Raises `PlaneError` if the file does not have the form of a field."""


def load(package: str, *, extra: str, path: Path) -> Any:  # noqa: ANN401 - packages without types
    """Import a package that only some files need.

    Raises
    ------
    PlaneError
        It is not installed. The message contains the install command.
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
    """Return the pixel size in micrometres, as `pixel_size` does, for a single unit and without its notes."""
    return pixel_size(sizes, (unit, unit), path)[0]


def pixel_size(
    sizes: tuple[float | None, float | None], units: tuple[str, str], path: Path
) -> tuple[float | None, tuple[str, ...]]:
    """Return the pixel size in micrometres.

    Parameters
    ----------
    sizes : tuple of float or None
        Height and width.
    units : tuple of str
        Their units.
    path : pathlib.Path
        The file, for messages.

    Returns
    -------
    float or None
        None if the file does not give it, it is not above 0, or its unit is not a known length.
    tuple of str
        A note for each unknown unit.

    Raises
    ------
    PlaneError
        The pixels are not square.
    """
    if not all(size and 0 < size < math.inf for size in sizes):
        return None, ()
    factors = tuple(map(_factor, units))
    if None in factors:
        unknown = dict.fromkeys(
            unit for unit, factor in zip(units, factors, strict=True) if factor is None and unit not in _NO_UNITS
        )
        return None, tuple(f"the pixel size is not used: its unit {unit!r} is not a known length" for unit in unknown)
    height, width = (
        size * factor for size, factor in zip(sizes, factors, strict=True) if size is not None and factor is not None
    )
    if not 0 < min(height, width) <= max(height, width) < math.inf:
        return None, ()
    if abs(height / width - 1) > _SQUARE:
        (high, wide), (unit, other) = sizes, units
        both = (
            f"{high:g} high and {wide:g} wide" if unit == other else f"{high:g} {unit} high and {wide:g} {other} wide"
        )
        raise PlaneError(f"a pixel is {both}", where=path, remedy="Export it with square pixels.")
    return width, ()


def _factor(unit: str) -> float | None:
    unit = unit.strip()
    # ImageJ users write "Microns" and "INCH". In short names letter case has a meaning.
    return _MICROMETRES.get(unit, _MICROMETRES.get(unit.casefold()) if len(unit) > _SHORT else None)


def check_type(dtype: np.dtype[Any], path: Path) -> None:
    """Check the pixel type of a picture, for any byte order.

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
