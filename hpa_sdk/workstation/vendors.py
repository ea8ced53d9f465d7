"""Opens vendors' own files (ND2, CZI, LIF) as scenes, through bioio."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.planes import Planes, check_size
from hpa_sdk.workstation.channel_stack import ChannelStack, Scene, check_one_moment, check_type, load, micrometres


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
    sizes = dict(image.dims.items())
    check_type(image.dtype, path)
    check_one_moment(sizes, "CZYX", path)
    pixel = image.physical_pixel_sizes

    def read(channel: int, z: int) -> Planes:
        check_size(sizes["X"], sizes["Y"], path)
        image.set_scene(scene)
        return cast("Planes", np.asarray(image.get_image_dask_data("YX", T=0, C=channel, Z=z)))

    return tuple(
        ChannelStack(
            str(name),
            number,
            path,
            sizes["Z"],
            partial(read, number),
            micrometres((pixel.Y, pixel.X), "um", path),
        )
        for number, name in enumerate(image.channel_names)
    )
