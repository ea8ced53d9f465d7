"""Opens TIFF and OME-TIFF files as scenes."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields import tiff_micro_manager
from hpa_sdk.fields.axes import name_axes
from hpa_sdk.fields.channel_stack import ChannelStack, Scene, load
from hpa_sdk.fields.planes import COPY_AGAIN
from hpa_sdk.fields.tiff_directory import IMAGE_DEPTH, PHOTOMETRIC
from hpa_sdk.fields.tiff_file import decode
from hpa_sdk.fields.tiff_metadata import channel_names, size_of_pixel
from hpa_sdk.fields.tiff_ome import OmeFile
from hpa_sdk.fields.tiff_place import Look, Others, Picture, Place, check_count
from hpa_sdk.preprocessing import Planes

# tifffile's letters for axes of unknown meaning.
_UNNAMED = "QI"
_RGB = 2
_MOST_ERRORS = 100


@contextmanager
def open_file(path: Path, *, one_plane: bool = False) -> Iterator[dict[str, Scene]]:
    """Open a TIFF file. Each of its pictures is a scene.

    If a field has several files in a folder, the file with its first plane returns the whole field, and the others
    raise `hpa_sdk.fields.tiff_place.PartError`. With `one_plane`, a file of one plane is only that plane, even if it
    is described as part of a larger field: its channel can come from the file name.
    """
    tifffile = load("tifffile", extra="workstation", path=path)
    load("imagecodecs", extra="workstation", path=path)
    others = Others()
    with strict(path) as check, tifffile.TiffFile(path) as tiff:
        if tiff_micro_manager.is_micro_manager(tiff):
            scenes: dict[str, Look] = tiff_micro_manager.scenes(tiff, path, others)
        elif tiff.is_ome:
            scenes = OmeFile(tiff, path, others).scenes(one_plane=one_plane)
        else:
            series = tiff.series[:1] if tiff.is_lsm else tiff.series  # the other series of LSM files are previews
            scenes = {str(at): partial(_look, tiff, one, path) for at, one in enumerate(series)}
        check()
        yield {name: partial(_channels, look, path, others) for name, look in scenes.items()}
        others.check()


@contextmanager
def strict(path: Path) -> Iterator[Callable[[], None]]:
    """Raise, when called and at the end, errors that tifffile only logs.

    For a damaged file, tifffile returns what it can read, such as pages without their channel names.
    """
    errors = _Errors()
    logger = logging.getLogger("tifffile")
    if not logger.isEnabledFor(logging.ERROR):
        raise PlaneError(
            "tifffile may not log errors, so damage would pass unseen",
            where=path,
            remedy="Leave the level of the logger 'tifffile' at ERROR or below.",
        )

    def check() -> None:
        if errors.messages:
            raise PlaneError(
                f"the file is damaged ({errors.messages[0]})", where=path, remedy="Copy or export the file again."
            )

    logger.addHandler(errors)
    try:
        yield check
    finally:
        logger.removeHandler(errors)
    check()


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.messages.append(record.getMessage())
            # A small file can name millions of damaged parts, and tifffile logs an error for each.
            if len(self.messages) > _MOST_ERRORS:
                raise ValueError(self.messages[0])


def _channels(look: Look, path: Path, others: Others) -> tuple[ChannelStack, ...]:
    picture = look()
    places, names = picture.places, picture.names
    numbers = sorted({channel for channel, _ in places})
    further = sorted({place.path.name for place in places.values()} - {path.name})
    together = (f"it is read together with {', '.join(further)}",) if further else ()
    files = others.of_field({place.path for place in places.values()})
    notes = (*together, *picture.notes, *places[min(places)].layout().form.notes)
    stacks = []
    for number in numbers:
        planes = [places[place] for place in sorted(places) if place[0] == number]
        name = names[number] if len(names) == len(numbers) else ""
        read = partial(_read, planes)
        stacks.append(ChannelStack(name, number, path, len(planes), read, picture.pixel_size, notes, files))
    return tuple(stacks)


def _read(planes: Sequence[Place], z: int) -> Planes:
    place = planes[z]
    layout = place.layout()
    with place.path.open("rb") as file:
        return decode(layout, file, place.path)


def _look(tiff: Any, series: Any, path: Path) -> Picture:  # noqa: ANN401 - without types
    if any(page is None or page.parent is not tiff for page in series):
        raise PlaneError("a page of it is not there", where=path, remedy=COPY_AGAIN)
    first = Place(path, int(series[0].offset))
    tags = first.tags()
    if (tags.one(IMAGE_DEPTH) or 1) > 1:
        raise PlaneError(
            "its pages are no single planes (ImageDepth)", where=path, remedy="Export each plane as a page of its own."
        )
    samples = tags.planar_samples
    # Planar samples are channels. Those of one picture follow each other, whatever other axes the file has.
    letters = tuple("C" if axis == "S" and samples > 1 else axis for axis in series.get_axes(squeeze=False))
    axes = name_axes(letters, series.get_shape(squeeze=False), _UNNAMED, path)
    paged = {axis: size for axis, size in axes.items() if axis not in ("YXC" if samples > 1 else "YXS")}
    check_count(math.prod(paged.values()), path)
    places = {}
    for channel, z in product(range(axes.get("C", 1)), range(axes.get("Z", 1))):
        at = {"C": channel, "Z": z}
        index = np.ravel_multi_index([at.get(axis, 0) for axis in paged], list(paged.values())) if paged else 0
        places[channel, z] = _place(series, int(index), channel if samples > 1 else None, first)
    size, notes = size_of_pixel(tiff, path)
    if samples > 1 and tags.one(PHOTOMETRIC) == _RGB:
        notes += (f"the file calls its {samples} planar samples one picture in colour; each is taken as a channel",)
    return Picture(places, channel_names(tiff, axes.get("C", 1)), size, notes)


def _place(series: Any, index: int, sample: int | None, first: Place) -> Place:  # noqa: ANN401
    if series.is_truncated:
        # The planes follow each other after the tags of the first one, as ImageJ writes large stacks.
        return replace(first, pixels=int(series.dataoffset) + index * first.layout().nbytes)
    return Place(first.path, int(series[index].offset), sample)
