"""Opens vendors' own files (ND2, CZI, LIF) as scenes, through bioio."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.axes import name_axes
from hpa_sdk.fields.channel_stack import ChannelStack, Scene, check_type, load, micrometres
from hpa_sdk.fields.pixel_rules import StoredForm, as_plane
from hpa_sdk.planes import Planes, check_size


@contextmanager
def open_file(path: Path, _: str | None) -> Iterator[dict[str, Scene]]:
    """Open a vendor's file; each of bioio's scenes is one."""
    bioio = load("bioio", extra="bioio", path=path)
    unsupported = load("bioio_base.exceptions", extra="bioio", path=path).UnsupportedFileFormatError
    if not path.is_file():
        raise FileNotFoundError(path)
    try:
        image = bioio.BioImage(path)
    except unsupported as error:
        extra = "czi" if path.suffix.lower() == ".czi" else "bioio"
        raise PlaneError(
            f"bioio can't read it ({str(error).splitlines()[0]})",
            where=path,
            remedy=f"Run pip install 'hpa-sdk[{extra}]', or, where that is done, copy the file again.",
        ) from error
    yield {str(scene): partial(_channels, image, scene, path) for scene in range(len(image.scenes))}


def _channels(image: Any, scene: int, path: Path) -> tuple[ChannelStack, ...]:  # noqa: ANN401
    image.set_scene(scene)
    _check_own_axes(image, path)
    sizes = name_axes(tuple(image.dims.order), image.dims.shape, "", path)
    check_type(image.dtype, path)
    pixel = image.physical_pixel_sizes
    names = [str(name) for name in image.channel_names or ()]

    def read(channel: int, z: int) -> Planes:
        check_size(sizes["X"], sizes["Y"], path)
        image.set_scene(scene)
        return as_plane(np.asarray(image.get_image_dask_data("YX", T=0, C=channel, Z=z)), StoredForm())

    return tuple(
        ChannelStack(
            names[number] if len(names) == sizes["C"] else "",
            number,
            path,
            sizes["Z"],
            partial(read, number),
            micrometres((pixel.Y, pixel.X), "um", path),
        )
        for number in range(sizes["C"])
    )


def _check_own_axes(image: Any, path: Path) -> None:  # noqa: ANN401
    """Check the axes that the format's reader gives: along one that bioio does not know, it takes the first place."""
    own = image.reader.dims
    tiles = "M" if "M" not in image.dims.order else ""  # bioio has put them together
    kept = [at for at, axis in enumerate(own.order) if axis not in tiles]
    name_axes([own.order[at] for at in kept], [own.shape[at] for at in kept], "", path)
