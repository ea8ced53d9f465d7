"""Opens vendor formats (ND2, CZI, LIF) as scenes, through bioio."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from hpa_sdk.errors import HpaError, PlaneError
from hpa_sdk.fields.axes import name_axes
from hpa_sdk.fields.channel_stack import ChannelStack, Scene, check_type, load, micrometres
from hpa_sdk.fields.pixel_rules import StoredForm, as_plane
from hpa_sdk.fields.planes import check_size
from hpa_sdk.preprocessing import Planes

_READERS = {".czi": ("bioio_czi", "czi"), ".lif": ("bioio_lif", "bioio"), ".nd2": ("bioio_nd2", "bioio")}
"""The package that reads each format, and the extra that installs it."""

_EXPORT = "Copy it again; if it still fails, export it as OME-TIFF."


@contextmanager
def open_file(path: Path) -> Iterator[dict[str, Scene]]:
    """Open a vendor's file. Each of its scenes in bioio is a scene here."""
    reader, extra = _READERS[path.suffix.lower()]
    bioio = load("bioio", extra=extra, path=path)
    unsupported = load("bioio_base.exceptions", extra=extra, path=path).UnsupportedFileFormatError
    if not path.is_file():
        raise FileNotFoundError(path)
    with _bioio_errors(path):
        try:
            image = bioio.BioImage(path)
        except unsupported as error:
            load(reader, extra=extra, path=path)  # bioio does not report that the reader is missing
            raise PlaneError(
                f"bioio can't read it: its reader {reader} takes it for no file of its format",
                where=path,
                remedy=_EXPORT,
            ) from error
        scenes = range(len(image.scenes))
        _check_scenes(image, len(scenes), path)
    yield {str(scene): partial(_channels, image, scene, path) for scene in scenes}


@contextmanager
def _bioio_errors(path: Path) -> Iterator[None]:
    """Convert exceptions of bioio, whose readers raise anything for damaged or unknown files."""
    try:
        yield
    except (HpaError, OSError):
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise PlaneError(
            f"bioio can't read it ({type(error).__name__}: {reason})", where=path, remedy=_EXPORT
        ) from error


def _check_scenes(image: Any, named: int, path: Path) -> None:  # noqa: ANN401
    """Check that a CZI lists all scenes of its pixels: bioio-czi counts only those in the metadata."""
    if not type(image.reader).__module__.startswith("bioio_czi"):
        return
    there = _scenes_of_pixels(path)
    if there is not None and there != named:
        raise PlaneError(
            f"its pixels are of {there} scenes, and its metadata list {named}",
            where=path,
            remedy="Save each scene as a file of its own (Split Scenes in ZEN), or export it as OME-TIFF.",
        )


def _scenes_of_pixels(path: Path) -> int | None:
    """Count the scenes in the pixel blocks of a CZI; None if neither of the libraries of bioio-czi is installed."""
    try:
        czi = import_module("pylibCZIrw.czi")
    except ImportError:
        try:
            sizes = import_module("aicspylibczi").CziFile(path).get_dims_shape()
        except ImportError:
            return None
        ranges: list[tuple[int, int]] = [one.get("S", (0, 1)) for one in sizes]
        return sum(end - start for start, end in ranges)
    with czi.open_czi(str(path)) as file:
        return max(1, len(file.scenes_bounding_rectangle))


def _channels(image: Any, scene: int, path: Path) -> tuple[ChannelStack, ...]:  # noqa: ANN401
    with _bioio_errors(path):
        image.set_scene(scene)
        _check_own_axes(image, path)
        sizes = name_axes(tuple(image.dims.order), image.dims.shape, "", path)
        check_type(image.dtype, path)
        pixel = image.physical_pixel_sizes
        names = [str(name) for name in image.channel_names or ()]

    def read(channel: int, z: int) -> Planes:
        check_size(sizes["X"], sizes["Y"], path)
        with _bioio_errors(path):
            image.set_scene(scene)
            return as_plane(np.asarray(image.get_image_dask_data("YX", T=0, C=channel, Z=z)), StoredForm())

    fit = len(names) == sizes["C"]
    # It is unknown which of them belongs to which channel.
    note = f"the file names {len(names)} channels, and there are {sizes['C']}: its names are not used"
    return tuple(
        ChannelStack(
            names[number] if fit else "",
            number,
            path,
            sizes["Z"],
            partial(read, number),
            micrometres((pixel.Y, pixel.X), "um", path),
            () if fit or not names else (note,),
        )
        for number in range(sizes["C"])
    )


def _check_own_axes(image: Any, path: Path) -> None:  # noqa: ANN401
    """Check the axes of the format's reader: bioio takes index 0 along an axis that it does not know."""
    own = image.reader.dims
    sizes = dict(zip(own.order, own.shape, strict=True))
    # Blocks of a CZI have positions. Tiles of a LIF are placed next to each other without regard to their overlap.
    joined = "M" not in image.dims.order and path.suffix.lower() == ".czi"
    if sizes.get("M", 1) > 1 and not joined:
        raise PlaneError(
            f"the picture is a mosaic of {sizes['M']} tiles, which are not put together here",
            where=path,
            remedy="Export each tile as a picture of its own, or the merged mosaic cut into fields of view.",
        )
    order = [axis for axis in own.order if axis != "M"]
    name_axes(order, [sizes[axis] for axis in order], "", path)
