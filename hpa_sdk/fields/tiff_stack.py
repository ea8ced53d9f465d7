"""Opens TIFF and OME-TIFF files as scenes."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.axes import name_axes
from hpa_sdk.fields.channel_stack import ChannelStack, Scene, load, micrometres
from hpa_sdk.fields.tiff_directory import read_directory
from hpa_sdk.fields.tiff_file import decode
from hpa_sdk.fields.tiff_layout import UNCOMPRESSED, Layout, layout_of
from hpa_sdk.planes import COPY_AGAIN, Planes, damaged

# tifffile's letters for what a file counts along without a word of what it is.
_UNNAMED = "QI"
_IN_A_PAGE = "YXS"
_MOST_ERRORS = 100
_NAMES_OF_FILES = re.compile(r'FileName\s*=\s*["\']([^"\']*)')


@contextmanager
def open_file(path: Path, _: str | None) -> Iterator[dict[str, Scene]]:
    """Open a TIFF file; each of its series is a scene.

    A file speaks for itself alone: of an OME-TIFF that is spread over several files, a file with one plane is that
    plane, and any other is refused.
    """
    tifffile = load("tifffile", extra="workstation", path=path)
    # tifffile's own decoders know no limit of what a strip may inflate to; those of imagecodecs do.
    load("imagecodecs", extra="workstation", path=path)
    with _strict(path) as check, tifffile.TiffFile(path) as tiff:
        text = tiff.ome_metadata or ""
        if any(re.search(r"[/\\:]", name) for name in _NAMES_OF_FILES.findall(text)):
            raise PlaneError(
                "its metadata name files in other folders", where=path, remedy="Export it as a file of its own."
            )
        images = _listed(tifffile.xml2dict(text).get("OME", {}).get("Image", [])) if text else []
        own = [series for series in tiff.series if any(page is not None and page.parent is tiff for page in series)]
        check()
        yield {str(at): partial(_channels, tiff, series, images, path) for at, series in enumerate(own)}


@contextmanager
def _strict(path: Path) -> Iterator[Callable[[], None]]:
    """Raise, when called and at the end, what tifffile only logs.

    Of a damaged file it gives what it still understands, such as the pages without their channels' names.
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
            # A small file can name millions of damaged parts, and tifffile tells of each.
            if len(self.messages) > _MOST_ERRORS:
                raise ValueError(self.messages[0])


def _listed(elements: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    return elements if isinstance(elements, list) else [elements]


def _channels(tiff: Any, series: Any, images: list[dict[str, Any]], path: Path) -> tuple[ChannelStack, ...]:  # noqa: ANN401
    names, pixel_size = _told_by_ome(images, series.name, path) if images else ((), _told_by_imagej(tiff, path))
    # Not of the kind that it says it is: tifffile could not follow its description.
    astray = bool(tiff.ome_metadata) and series.kind in {"generic", "uniform"}
    if astray or any(page is None or page.parent is not tiff for page in series):
        if len(tiff.pages) > 1:
            raise PlaneError(
                "its planes are spread over several files, or some are missing",
                where=path,
                remedy="Export the field as one file, or as a file for each channel and name their pattern.",
            )
        page = tiff.pages[0]
        return (
            ChannelStack("", 0, path, 1, lambda _: _decode(page, path), pixel_size, _layout(page, path).form.notes),
        )
    axes = name_axes(tuple(series.get_axes(squeeze=False)), series.get_shape(squeeze=False), _UNNAMED, path)
    stacked = {axis: size for axis, size in axes.items() if axis not in _IN_A_PAGE}
    notes = _layout(series[0], path).form.notes

    def read(channel: int, z: int) -> Planes:
        at = {"C": channel, "Z": z}
        index = np.ravel_multi_index([at.get(axis, 0) for axis in stacked], list(stacked.values())) if stacked else 0
        if series.is_truncated:
            return _decode(series[0], path, int(index), series.dataoffset)
        return _decode(series[int(index)], path)

    return tuple(
        ChannelStack(
            names[number] if number < len(names) else "",
            number,
            path,
            axes.get("Z", 1),
            partial(read, number),
            pixel_size,
            notes,
        )
        for number in range(axes.get("C", 1))
    )


def _layout(page: Any, path: Path) -> Layout:  # noqa: ANN401
    """Read the tags again, by the rules that a plain plane is read by; tifffile knows others."""
    if not page.offset:
        raise PlaneError("a page of it is not there", where=path, remedy=COPY_AGAIN)
    if page.keyframe.ndim != 2:  # noqa: PLR2004 - (H, W)
        raise PlaneError(
            "its pages are no single grey planes", where=path, remedy="Export each channel in grey, a page for each."
        )
    with path.open("rb") as file:
        return layout_of(read_directory(file, path, page.offset), path)


def _decode(page: Any, path: Path, index: int = 0, start: int | None = None) -> Planes:  # noqa: ANN401
    """Decode a page, or the plane of an index where ImageJ describes a whole stack on its first page."""
    layout = _layout(page, path)
    if start is not None:
        # The planes follow each other without gaps, whatever parts the first is said to have.
        plane = (start + index * layout.nbytes, layout.nbytes)
        if layout.compression != UNCOMPRESSED or sum(plane) > path.stat().st_size:
            raise damaged("its planes do not follow each other in the file", path)
        layout = replace(layout, tiled=False, part_height=layout.height, part_width=layout.width, parts=(plane,))
    with path.open("rb") as file:
        return decode(layout, file, path, other=page.asarray, codecs=import_module("imagecodecs"))


def _told_by_ome(images: list[dict[str, Any]], name: str, path: Path) -> tuple[tuple[str, ...], float | None]:
    told = set()
    for image in [image for image in images if str(image.get("Name", "")) == name] or images:
        pixels = image.get("Pixels", {})
        sizes = (pixels.get("PhysicalSizeY"), pixels.get("PhysicalSizeX"))
        names = tuple(str(channel.get("Name", "")) for channel in _listed(pixels.get("Channel", [])))
        told.add((names, micrometres(sizes, pixels.get("PhysicalSizeXUnit", "µm"), path)))
    # Several pictures of one name that differ: nobody can say which of them this is.
    return told.pop() if len(told) == 1 else ((), None)


def _told_by_imagej(tiff: Any, path: Path) -> float | None:  # noqa: ANN401
    unit = (tiff.imagej_metadata or {}).get("unit")
    if not unit:
        return None
    across, down = tiff.pages[0].resolution  # pixels a unit
    return micrometres((down and 1 / down, across and 1 / across), unit.replace("\\u00B5", "µ"), path)
