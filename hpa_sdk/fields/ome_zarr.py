"""Opens OME-Zarr folders as scenes: NGFF 0.4 (Zarr 2) and 0.5 (Zarr 3), single pictures, series and plates.

The keys are those of https://ngff.openmicroscopy.org.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.axes import name_axes
from hpa_sdk.fields.channel_stack import ChannelStack, Scene, check_type, load, micrometres
from hpa_sdk.fields.pixel_rules import StoredForm, as_plane
from hpa_sdk.planes import MAX_PIXELS, Planes, check_size

_EXPORT = "Export it as OME-Zarr 0.4 or 0.5."


@contextmanager
def open_file(path: Path, only: str | None) -> Iterator[dict[str, Scene]]:
    """Open an OME-Zarr folder; each picture in it is a scene, named by its place in the folder."""
    zarr = load("zarr", extra="workstation", path=path)
    root = zarr.open_group(path, mode="r", use_consolidated=False)
    # A plate has hundreds of pictures, each of them a field that is read by itself.
    places = _places(root) if only is None else [only]
    yield {place: partial(_channels, root, place, path) for place in places}


def _ome(group: Any) -> dict[str, Any]:  # noqa: ANN401
    attributes = group.attrs.asdict()
    ome: dict[str, Any] = attributes.get("ome", attributes)
    return ome


def _places(root: Any) -> list[str]:  # noqa: ANN401
    ome = _ome(root)
    if "plate" in ome:
        return [place for well in ome["plate"]["wells"] for place in _fields_of(root, str(well["path"]))]
    if "bioformats2raw.layout" in ome:
        listed = _ome(root["OME"]).get("series") if "OME" in root else None
        # One that is not there must not hide those after it.
        return listed or sorted(filter(str.isdecimal, root.group_keys()), key=int)
    return [""]


def _fields_of(root: Any, well: str) -> list[str]:  # noqa: ANN401
    try:
        return [f"{well}/{image['path']}" for image in _ome(root[well])["well"]["images"]]
    except (KeyError, TypeError, ValueError):
        return [well]  # not there: it fails when it is read, and costs no other well its fields


def _channels(root: Any, place: str, path: Path) -> tuple[ChannelStack, ...]:  # noqa: ANN401
    group = root[place] if place else root
    ome = _ome(group)
    try:
        pictures = ome["multiscales"]
        scales = pictures[0]
        axes = [_axis(axis) for axis in scales["axes"]]
        full_size = scales["datasets"][0]
        array = group[full_size["path"]]
    except (KeyError, IndexError, TypeError) as error:
        raise PlaneError(f"it describes no picture ({error!r} is missing)", where=path, remedy=_EXPORT) from error
    if axes[-2:] != ["Y", "X"] or len(axes) != array.ndim:
        raise PlaneError(f"its axes are {', '.join(axes)}, and the last not y and x", where=path, remedy=_EXPORT)
    twice = sorted({axis for axis in axes if axes.count(axis) > 1})
    if twice:
        raise PlaneError(f"two axes have the name {twice[0]} ({', '.join(axes)})", where=path, remedy=_EXPORT)
    sizes = name_axes(axes, array.shape, "", path)
    check_type(array.dtype, path)
    _check_chunks(array, path)
    labels = [str(channel.get("label", "")) for channel in ome.get("omero", {}).get("channels", [])]
    steps = np.ones(len(axes))
    for level in (scales, full_size):
        for transform in level.get("coordinateTransformations", []):
            steps = steps * transform.get("scale", 1)
    unit = scales["axes"][-1].get("unit", "")
    more = len(pictures) - 1
    notes = (f"the OME-Zarr describes {more} more picture{'s' if more > 1 else ''}; the first is read",) if more else ()

    def read(channel: int, z: int) -> Planes:
        check_size(sizes["X"], sizes["Y"], path)
        at = {"C": channel, "Z": z, "Y": slice(None), "X": slice(None)}
        return as_plane(np.asarray(array[tuple(at.get(axis, 0) for axis in axes)]), StoredForm())

    return tuple(
        ChannelStack(
            labels[number] if number < len(labels) else "",
            number,
            path,
            sizes.get("Z", 1),
            partial(read, number),
            micrometres((steps[-2], steps[-1]), unit, path),
            notes,
        )
        for number in range(sizes.get("C", 1))
    )


_TYPES = {"channel": ("C",), "time": ("T",), "space": ("X", "Y", "Z")}


def _axis(axis: dict[str, Any]) -> str:
    """Give the letter of an axis, by its type where it has one of the specification's; else its own name."""
    name, kind = str(axis["name"]).upper(), str(axis.get("type") or "").lower()
    letters = _TYPES.get(kind, ())
    if name in letters:
        return name
    # The channels and the time can have any name; which side of space an axis is, and what has no type, its name says.
    if len(letters) == 1 and not any(name in others for others in _TYPES.values()):
        return letters[0]
    return f"{name} (type {kind})" if kind else name


_LARGEST_CHUNK = 4 * MAX_PIXELS


def _check_chunks(array: Any, path: Path) -> None:  # noqa: ANN401
    if prod(array.chunks) > _LARGEST_CHUNK:
        raise PlaneError("its chunks are larger than any field", where=path, remedy="Export it in smaller chunks.")
    # Zarr itself takes a chunk that is not there for a black one, and so would answer a folder that is half copied.
    sides = zip(array.shape, array.shards or array.chunks, strict=True)
    for at in product(*(range(ceil(length / side)) for length, side in sides)):
        chunk = f"{array.path}/{array.metadata.encode_chunk_key(at)}"
        if not Path(path, chunk).is_file():
            raise PlaneError(
                f"a part of its pixels is not there ({chunk})",
                where=path,
                remedy="Copy or export it again, with all chunks, also those that are black.",
            )
