"""Reads channel names and the pixel size from metadata in TIFF files, other than OME-XML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpa_sdk.fields.channel_stack import ChannelName, micrometres, pixel_size

# Bio-Formats, ZEISS and others write this into ImageJ's "Info": "Series 0 Channel 1 Name = DAPI".
_NAME = re.compile(
    r"^[^=\n]*\bchannel\b\|?[ _:#]*(\d*)[ _:|]*name\b[ _:#]*(\d*)[ ]*[=:][ ]*(\S[^\n]*)$", re.IGNORECASE | re.MULTILINE
)
_COUNT = re.compile(r"^(?:[ctz]:)?\d+/\d+(?: [ctz]:\d+/\d+)*\s*[-;:]?\s*")
_INCH, _CENTIMETRE = 2, 3
_RESOLUTION_UNITS = {_INCH: "inch", _CENTIMETRE: "cm"}
_MICROMETRES = {_INCH: 25_400.0, _CENTIMETRE: 10_000.0}
_CODES = {factor: code for code, factor in _MICROMETRES.items()}
_SMALLEST, _LARGEST = 0.01, 2.0


def channel_names(tiff: Any, count: int) -> list[ChannelName]:  # noqa: ANN401 - a package without types
    """Return the channel names: from ImageJ's labels and Info, or from LSM or MetaMorph metadata.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.
    count : int
        The number of channels.

    Returns
    -------
    list of ChannelName
        Empty where there are none.
    """
    metadata = tiff.imagej_metadata or {}
    columns = [_of_labels(metadata, count), _of_info(str(metadata.get("Info", "")), count)]
    if tiff.is_lsm:
        colours = (tiff.lsm_metadata or {}).get("ChannelColors") or {}
        columns.append([str(name) for name in colours.get("ColorNames", [])])
    if tiff.is_stk and count == 1:
        columns.append([str((tiff.stk_metadata or {}).get("Name", ""))])
    columns = [column for column in columns if len(column) == count]
    return [ChannelName(*names) for names in zip(*columns, strict=True)]


def _of_labels(metadata: dict[str, Any], count: int) -> list[str]:
    labels = metadata.get("Labels") or []
    labels = [str(label).partition("\n")[0] for label in ([labels] if isinstance(labels, str) else labels)]
    # One label for each channel, or for each plane. The order of the planes gives the first one of each channel.
    order = str(metadata.get("order", "czt")).lower()
    step = 1
    for axis in order:
        if axis == "c":
            break
        step *= int(metadata.get({"z": "slices", "t": "frames"}.get(axis, ""), 1))
    if len(labels) == count:
        step = 1
    labels = [_COUNT.sub("", label) for label in labels[: step * count : step]]
    return labels if len(set(labels)) == count else []


def _of_info(info: str, count: int) -> list[str]:
    found = {int(before or after): name.strip() for before, after, name in _NAME.findall(info) if before or after}
    if len(found) != count or max(found) - min(found) != count - 1:
        return []
    return [found[number] for number in sorted(found)]


def size_of_pixel(tiff: Any, path: Path) -> tuple[float | None, tuple[str, ...]]:  # noqa: ANN401
    """Return micrometres per pixel, as `hpa_sdk.fields.channel_stack.pixel_size` does.

    From ImageJ's unit, from LSM or MetaMorph metadata, or else from the resolution of the TIFF. In inches or
    centimetres, it counts if it means 0.01 to 2 um per pixel: resolutions for printers and screens (72 or 300 dpi) are
    outside.
    """
    across, down = tiff.pages.first.resolution  # pixels per unit
    sizes = (down and 1 / down, across and 1 / across)
    metadata = tiff.imagej_metadata or {}
    if unit := _unit(metadata.get("unit")):
        units = _unit(metadata.get("yunit")) or unit, unit
        # ImageJ also writes so the resolution of a picture that it opened.
        codes = {_CODES.get(micrometres((1, 1), each, path) or 0) for each in units}
        code = codes.pop() if len(codes) == 1 else None
        return pixel_size(sizes, units, path) if code is None else _of_resolution(sizes, code)
    if tiff.is_lsm:
        metres = tiff.lsm_metadata or {}
        return micrometres((metres.get("VoxelSizeY"), metres.get("VoxelSizeX")), "m", path), ()
    if tiff.is_stk:
        stack = tiff.stk_metadata or {}
        unit = _unit(stack.get("CalibrationUnits"))
        if unit and stack.get("SpatialCalibration", 1):
            return pixel_size((stack.get("YCalibration"), stack.get("XCalibration")), (unit, unit), path)
    return _of_resolution(sizes, int(tiff.pages.first.resolutionunit))


def _of_resolution(sizes: Sequence[float], code: int) -> tuple[float | None, tuple[str, ...]]:
    factor = _MICROMETRES.get(code, 0.0)
    height, width = (size * factor for size in sizes)
    if not all(_SMALLEST <= size <= _LARGEST for size in (height, width)) or abs(height / width - 1) > _SQUARE:
        return None, ()
    return width, (f"the pixel size is the resolution of the TIFF (in {_RESOLUTION_UNITS[code]}): {width:.4g} um",)


_SQUARE = 0.01


def _unit(value: object) -> str:
    return value.replace("\\u00B5", "\u00b5").strip().strip("\0") if isinstance(value, str) else ""
