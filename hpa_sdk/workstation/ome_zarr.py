"""Opens OME-Zarr folders as scenes: NGFF 0.4 (Zarr 2) and 0.5 (Zarr 3), single pictures, series and plates.

The keys are those of https://ngff.openmicroscopy.org.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count, takewhile
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.planes import MAX_PIXELS, Planes, check_size
from hpa_sdk.workstation.channel_stack import ChannelStack, Scene, check_one_moment, check_type, load, micrometres

_EXPORT = "Export it as OME-Zarr 0.4 or 0.5."


@contextmanager
def open_file(path: Path) -> Iterator[list[Scene]]:
    """Open an OME-Zarr folder; each picture in it is a scene."""
    zarr = load("zarr", extra="workstation", path=path)
    root = zarr.open_group(path, mode="r", use_consolidated=False)
    yield [partial(_channels, image, path) for image in _images(root)]


def _ome(group: Any) -> dict[str, Any]:  # noqa: ANN401
    attributes = group.attrs.asdict()
    ome: dict[str, Any] = attributes.get("ome", attributes)
    return ome


def _images(root: Any) -> list[Any]:  # noqa: ANN401
    ome = _ome(root)
    if "plate" in ome:
        wells = [root[well["path"]] for well in ome["plate"]["wells"]]
        return [well[image["path"]] for well in wells for image in _ome(well)["well"]["images"]]
    if "bioformats2raw.layout" in ome:
        listed = _ome(root["OME"]).get("series") if "OME" in root else None
        return [root[at] for at in listed or takewhile(root.__contains__, map(str, count()))]
    return [root]


def _channels(group: Any, path: Path) -> tuple[ChannelStack, ...]:  # noqa: ANN401
    ome = _ome(group)
    try:
        scales = ome["multiscales"][0]
        axes = [axis["name"].upper() for axis in scales["axes"]]
        full_size = scales["datasets"][0]
        array = group[full_size["path"]]
    except (KeyError, IndexError, TypeError) as error:
        raise PlaneError(f"it describes no picture ({error!r} is missing)", where=path, remedy=_EXPORT) from error
    if axes[-2:] != ["Y", "X"] or len(axes) != array.ndim:
        raise PlaneError(f"its axes are {', '.join(axes)}, and the last not y and x", where=path, remedy=_EXPORT)
    sizes = dict(zip(axes, array.shape, strict=True))
    check_type(array.dtype, path)
    check_one_moment(sizes, "CZYX", path)
    labels = [str(channel.get("label", "")) for channel in ome.get("omero", {}).get("channels", [])]
    steps = np.ones(len(axes))
    for level in (scales, full_size):
        for transform in level.get("coordinateTransformations", []):
            steps = steps * transform.get("scale", 1)
    unit = scales["axes"][-1].get("unit", "")

    def read(channel: int, z: int) -> Planes:
        check_size(sizes["X"], sizes["Y"], path)
        if prod(array.chunks) > _LARGEST_CHUNK:
            raise PlaneError("its chunks are larger than any field", where=path, remedy="Export it in smaller chunks.")
        if not array.nchunks_initialized:
            raise PlaneError("it holds no pixels", where=path, remedy="Copy or export it again.")
        at = {"C": channel, "Z": z, "Y": slice(None), "X": slice(None)}
        return cast("Planes", np.asarray(array[tuple(at.get(axis, 0) for axis in axes)]))

    return tuple(
        ChannelStack(
            labels[number] if number < len(labels) else "",
            number,
            path,
            sizes.get("Z", 1),
            partial(read, number),
            micrometres((steps[-2], steps[-1]), unit, path),
        )
        for number in range(sizes.get("C", 1))
    )


_LARGEST_CHUNK = 4 * MAX_PIXELS
