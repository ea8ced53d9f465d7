"""Finds the planes of Micro-Manager's TIFF files by their index: image stacks (MMStack) and NDTiff.

https://micro-manager.org/Micro-Manager_File_Formats, https://github.com/micro-manager/NDTiffStorage. The OME-XML of an
image stack lists the pictures of all positions, even those that are not in the file. Its index lists what is there.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.axes import name_axes
from hpa_sdk.fields.channel_stack import load, micrometres
from hpa_sdk.fields.planes import damaged
from hpa_sdk.fields.tiff_place import Look, Others, PartError, Picture, Place, check_count
from hpa_sdk.files.file_state import stamp_of

_STACK = "_MMStack"
_INDEX = "NDTiff.index"
_NDTIFF = 2
_UNCOMPRESSED = 0
_NAMED_MISSING = 4
_FINISH = "Copy all files of the acquisition into one folder; if it was stopped, leave the field out."

_Key = tuple[int, int, int]
"""Time, z and channel."""


def is_micro_manager(tiff: Any) -> bool:  # noqa: ANN401 - a package without types
    """Whether a file has an index of Micro-Manager, or belongs to one."""
    metadata = tiff.micromanager_metadata or {}
    return bool(tiff.is_mmstack) or metadata.get("MajorVersion", 0) >= _NDTIFF


def scenes(tiff: Any, path: Path, others: Others) -> dict[str, Look]:  # noqa: ANN401
    """Return the positions whose first plane is in a file, by number.

    Raises
    ------
    PlaneError
        It belongs to an NDTiff without its index, or all of its planes belong to the field of another file.
    """
    summary = _summary(tiff)
    if tiff.is_mmstack:
        found = _image_stack(tiff, path, others)
    else:
        found, names = _ndtiff(path, others)
        summary = {"ChNames": names or summary.get("ChNames"), "PixelSize_um": summary.get("PixelSize_um")}
    own = [at for at, places in found.items() if places[min(places)].path == path]
    if found and not own:
        first = next(iter(found.values()))
        raise PartError(path, first[min(first)].path)
    return {str(number): partial(_look, found[at], summary, tiff, path) for number, at in enumerate(own)}


def _summary(tiff: Any) -> Mapping[str, Any]:  # noqa: ANN401
    summary = (tiff.micromanager_metadata or {}).get("Summary")
    return summary if isinstance(summary, dict) else {}


def _look(
    planes: Mapping[_Key, Place],
    summary: Mapping[str, Any],
    tiff: Any,  # noqa: ANN401
    path: Path,
) -> Picture:
    sizes = {
        axis: max(1 + max(key[at] for key in planes), _number(summary.get(name)))
        for at, (axis, name) in enumerate((("T", "Frames"), ("Z", "Slices"), ("C", "Channels")))
    }
    name_axes(tuple(sizes), tuple(sizes.values()), "", path)
    check_count(math.prod(sizes.values()), path)
    names = summary.get("ChNames")
    names = [str(name) for name in names] if isinstance(names, list) and len(names) == sizes["C"] else []
    places = {(channel, z): place for (_, z, channel), place in planes.items()}
    missing = [
        (channel, z)
        for channel, z in product(range(sizes["C"]), range(sizes["Z"]))
        if (channel, z) not in places and not _is_flat(places, channel, sizes["Z"])
    ]
    if missing:
        listed = [f"{names[channel] if names else f'channel {channel}'} z {z}" for channel, z in missing]
        more = f" and {len(listed) - _NAMED_MISSING} more" if len(listed) > _NAMED_MISSING else ""
        raise PlaneError(
            f"planes of its position are missing ({', '.join(listed[:_NAMED_MISSING])}{more}): the acquisition was"
            f" stopped, or {_absent(tiff, path)} not there",
            where=path,
            remedy=_FINISH,
        )
    return Picture(places, names, _pixel_size(summary, tiff, path))


def _is_flat(places: Mapping[tuple[int, int], Place], channel: int, depth: int) -> bool:
    """Whether a channel has only the middle plane, as in Micro-Manager if its z-stack is switched off."""
    there = [z for at, z in places if at == channel]
    counts = Counter(at for at, _ in places)
    return len(there) == 1 and there[0] in {depth // 2, (depth - 1) // 2} and depth in counts.values()


def _absent(tiff: Any, path: Path) -> str:  # noqa: ANN401
    """Name the files of the same position that the description names and that are missing."""
    stem = path.name.split(".")[0]
    named = {part.partition('"')[0] for part in (tiff.ome_metadata or "").split('FileName="')[1:]}
    absent = sorted(name for name in named if name.startswith(stem) and not (path.parent / Path(name).name).is_file())
    return f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'}" if absent else "another file of it is"


def _number(value: object) -> int:
    return value if isinstance(value, int) else 1


def _pixel_size(summary: Mapping[str, Any], tiff: Any, path: Path) -> float | None:  # noqa: ANN401
    page_metadata = tiff.pages.first.tags.valueof(51123)
    page = page_metadata if isinstance(page_metadata, dict) else {}
    for value in (summary.get("PixelSize_um"), page.get("PixelSizeUm"), page.get("PixelSize_um")):
        if isinstance(value, (int, float)) and value > 0:
            return micrometres((value, value), "um", path)
    return None


def _image_stack(tiff: Any, path: Path, others: Others) -> dict[int, dict[_Key, Place]]:  # noqa: ANN401
    """Return the planes of each position in an image stack, including those in its continuation files."""
    metadata = tiff.micromanager_metadata
    found = _indexed(metadata["IndexMap"], path)
    summary = _summary(tiff)
    count = _number(summary.get("Frames")) * _number(summary.get("Slices")) * _number(summary.get("Channels"))
    short = {position for position, planes in found.items() if len(planes) < count}
    if short and _STACK in path.name:
        # At 4 GB Micro-Manager continues in another file.
        start = path.name.partition(_STACK)[0] + _STACK
        for other in sorted(path.parent.iterdir()):
            if other == path or not other.name.startswith(start) or other.suffix.lower() != ".tif":
                continue
            before = stamp_of(other)
            index = _index_of(other, metadata["Summary"])
            more = {} if index is None else _indexed(index, other)
            for position in short & more.keys():
                others.add(other)
                if stamp_of(other) != before:
                    raise PlaneError("it was changed while its index was read", where=other, remedy=_FINISH)
                found[position] = {**more[position], **found[position]}
    return found


def _indexed(index: Iterable[Any], path: Path) -> dict[int, dict[_Key, Place]]:
    found: dict[int, dict[_Key, Place]] = {}
    for row in index:
        channel, z, time, position, offset = map(int, row)
        found.setdefault(position, {})[time, z, channel] = Place(path, offset)
    return found


def _index_of(path: Path, summary: object) -> Any:  # noqa: ANN401
    """Read the index of another file of the same acquisition; None if it belongs to a different one."""
    with path.open("rb") as file:
        try:
            read = load("tifffile", extra="workstation", path=path).read_micromanager_metadata
            metadata = read(file, {"Summary", "IndexMap"})
        except ValueError:
            return None
    return metadata.get("IndexMap") if metadata.get("Summary") == summary else None


def _ndtiff(path: Path, others: Others) -> tuple[dict[int, dict[_Key, Place]], list[str]]:
    """Return the planes of each position of an NDTiff, and the channel names if its index has them."""
    index = path.parent / _INDEX
    if not index.is_file():
        raise PlaneError(
            f"it is part of an NDTiff, whose index ({_INDEX}) is not beside it",
            where=path,
            remedy="Copy the whole folder of the data set, or export it as OME-TIFF.",
        )
    others.add(index, describes=True)
    rows = list(load("tifffile", extra="workstation", path=path).read_ndtiff_index(index))
    if bad := next((row for row in rows if Path(row[1]).name != row[1] or row[6] != _UNCOMPRESSED), None):
        raise damaged(f"its index names {bad[1]!r} with compression {bad[6]}", path)
    first: dict[str, int] = {}
    for name in dict.fromkeys(row[1] for row in rows):
        file = path.parent / name
        if not file.is_file():
            raise PlaneError(f"its index names {name}, which is not there", where=path, remedy=_FINISH)
        if file != path:
            others.add(file)
        first[name] = _first_directory(file)
    numbers = {axis: _in_order([row[0].get(axis, 0) for row in rows]) for axis in ("time", "z", "channel")}
    positions: dict[str, int] = {}
    found: dict[int, dict[_Key, Place]] = {}
    for axes, name, offset, *_ in rows:
        time, z, channel = (numbers[axis][axes.get(axis, 0)] for axis in ("time", "z", "channel"))
        rest = {axis: value for axis, value in axes.items() if axis not in numbers}
        at = positions.setdefault(json.dumps(rest, sort_keys=True), len(positions))
        found.setdefault(at, {})[time, z, channel] = Place(path.parent / name, first[name], pixels=offset)
    names = [name for name in numbers["channel"] if isinstance(name, str)]
    return found, names


def _in_order(values: Iterable[str | int]) -> dict[str | int, int]:
    """Return the position of each value along an axis: numbers in numeric order, names in order of appearance."""
    there = list(dict.fromkeys(values))
    if all(isinstance(value, int) for value in there):
        there.sort(key=int)
    return {value: at for at, value in enumerate(there)}


def _first_directory(path: Path) -> int:
    with load("tifffile", extra="workstation", path=path).TiffFile(path) as tiff:
        return int(tiff.pages.first.offset)
