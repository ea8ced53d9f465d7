"""Finds the channel names and the pixel size of an OME-Zarr picture."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.channel_stack import load, micrometres
from hpa_sdk.fields.ome_zarr_places import EXPORT, listed_series
from hpa_sdk.files.file_state import FileStamp, stamp_of

_LARGEST_XML = 64 * 1024 * 1024
_PREFIXES = {
    **dict(zip(("yocto", "zepto", "atto", "femto", "pico", "nano", "micro", "milli"), range(-24, 0, 3), strict=True)),
    "centi": -2,
    "deci": -1,
    "": 0,
    "deca": 1,
    "hecto": 2,
    **dict(zip(("kilo", "mega", "giga", "tera", "peta", "exa", "zetta", "yotta"), range(3, 27, 3), strict=True)),
}
_LENGTHS = {f"{prefix}met{end}": 10.0 ** (power + 6) for prefix, power in _PREFIXES.items() for end in ("er", "re")} | {
    "angstrom": 1e-4,
    "inch": 25_400.0,
    "foot": 304_800.0,
    "yard": 914_400.0,
    "mile": 1_609_344_000.0,
    "parsec": 3.0856775814913673e22,
}
"""Micrometres in each unit of length in UDUNITS-2 that the specification names."""


def described(root: Any, place: str, path: Path) -> dict[str, Any]:  # noqa: ANN401
    """Return the metadata of one picture in ``OME/METADATA.ome.xml`` of bioformats2raw; empty if there is none.

    The file describes pictures in the order of ``series``, or of their numbers.
    """
    file = path / "OME" / "METADATA.ome.xml"
    listed = listed_series(root)
    if not file.is_file() or not (place in listed or (not listed and place.isdecimal())):
        return {}
    images = _images(file, stamp_of(file))
    at = listed.index(place) if listed else int(place)
    pixels = images[at].get("Pixels") if at < len(images) else None
    return pixels if isinstance(pixels, dict) else {}


@lru_cache(maxsize=4)
def _images(file: Path, _: FileStamp) -> list[dict[str, Any]]:
    # A plate has one such file for hundreds of pictures.
    if file.stat().st_size > _LARGEST_XML:
        return []
    try:
        ome = load("tifffile", extra="workstation", path=file).xml2dict(file.read_text(encoding="utf-8"))["OME"]
        return [image for image in _listed(ome["Image"]) if isinstance(image, dict)]
    except (KeyError, SyntaxError, TypeError, ValueError):  # continue without this additional metadata
        return []


def channel_names(ome: dict[str, Any], pixels: dict[str, Any], count: int) -> tuple[list[str], tuple[str, ...]]:
    """Return the name of each channel, and a note if the names do not match the channels.

    Parameters
    ----------
    ome : dict
        The metadata of the picture. Those of ``omero`` take precedence.
    pixels : dict
        The output of `described`, for a picture without them.
    count : int
        Number of channels.
    """
    omero = ome.get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    names = [_text(channel, "label") for channel in channels] if isinstance(channels, list) else []
    source = "omero"
    if not any(names):
        names = [_text(channel, "Name") or _text(channel, "Fluor") for channel in _listed(pixels.get("Channel", []))]
        source = "OME/METADATA.ome.xml"
    if len(names) == count:
        return names, ()
    # It is unknown which of them belongs to which channel.
    note = f"{source} names {len(names)} channels, and there are {count}: its names are not used"
    return [""] * count, (note,) if any(names) else ()


def _text(channel: Any, key: str) -> str:  # noqa: ANN401
    text = channel.get(key) if isinstance(channel, dict) else None
    return "" if text is None else str(text)


def _listed(elements: Any) -> list[Any]:  # noqa: ANN401
    return elements if isinstance(elements, list) else [elements]


def pixel_size(
    axes: list[dict[str, Any]], levels: tuple[dict[str, Any], ...], pixels: dict[str, Any], path: Path
) -> tuple[float | None, tuple[str, ...]]:
    """Return the pixel size in micrometres, and a note if the metadata give one that can't be used.

    Parameters
    ----------
    axes : list of dict
        The axes, with y and x last.
    levels : tuple of dict
        Elements with ``coordinateTransformations``: the picture, and last its level of full size.
    pixels : dict
        The output of `described`, for a picture without its own pixel size.
    path : pathlib.Path
        The folder, for messages.

    Raises
    ------
    PlaneError
        The pixels are not square, or the metadata contradict each other.
    """
    scale = _scale(levels, len(axes), path)
    units = [str(axis.get("unit") or "") for axis in axes[-2:]]
    size = None if scale is None else _square(scale, units, path)
    if size is None and pixels.get("PhysicalSizeX"):
        xml_units = [str(pixels.get(f"PhysicalSize{side}Unit", "µm")) for side in "YX"]
        size = _square((pixels.get("PhysicalSizeY"), pixels["PhysicalSizeX"]), xml_units, path)
    if size is not None or scale is None or scale == (1.0, 1.0):
        return size, ()
    named = " and ".join(repr(unit) for unit in dict.fromkeys(units) if unit and _length(unit, path) is None)
    return None, (f"its pixels measure {scale[0]:g} x {scale[1]:g} of {named or 'no unit'}, so their size is unknown",)


def _scale(levels: tuple[dict[str, Any], ...], count: int, path: Path) -> tuple[float, float] | None:
    """Multiply the scales of all levels; None if one of them is not given."""
    steps = np.ones(count)
    scaled = False
    for level in levels:
        for transform in level.get("coordinateTransformations") or ():
            if transform.get("type") == "scale" or "scale" in transform:
                given = transform.get("scale")
                if not isinstance(given, list):
                    return None  # stored in a separate file
                if len(given) != count:
                    raise PlaneError(
                        f"its metadata scale {len(given)} axes, and there are {count}", where=path, remedy=EXPORT
                    )
                steps = steps * np.asarray(given, float)
                scaled = True
            elif transform.get("type") not in {"identity", "translation"}:
                return None
    return (float(steps[-2]), float(steps[-1])) if scaled else None


def _square(sides: tuple[float | None, float | None], units: list[str], path: Path) -> float | None:
    height, width = (
        None if side is None or factor is None else side * factor
        for side, factor in zip(sides, (_length(unit, path) for unit in units), strict=True)
    )
    return micrometres((height, width), "um", path)


def _length(unit: str, path: Path) -> float | None:
    """Return the micrometres in a unit, by the names in the specification or in other file formats."""
    return _LENGTHS.get(unit.strip().lower()) or micrometres((1.0, 1.0), unit, path)
