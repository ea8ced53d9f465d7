"""Writes OME-TIFF data sets whose fields are spread over a file for each channel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from tests.hpa_sdk.workstation.written import NAMES, stack

OME = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'


def described(
    names: list[str],
    *,
    z: int = 1,
    folder: str = "",
    pictures: int = 1,
    called: Sequence[str] = NAMES,
    size: tuple[int, int] = (40, 48),
    dtype: str = "uint16",
) -> str:
    """The pictures of a data set with a file for each channel, the planes along z in it."""
    channels = "".join(f'<Channel ID="Channel:0:{at}" Name="{name}"/>' for at, name in enumerate(called))
    images = ""
    for picture in range(pictures):
        data = "".join(
            f'<TiffData FirstC="{channel}" FirstZ="{at}" FirstT="0" IFD="{picture * z + at}" PlaneCount="1">'
            f'<UUID FileName="{folder}{name}">urn:uuid:{channel}</UUID></TiffData>'
            for channel, name in enumerate(names)
            for at in range(z)
        )
        images += (
            f'<Image ID="Image:{picture}"><Pixels ID="Pixels:{picture}" DimensionOrder="XYZCT" Type="{dtype}"'
            f' SizeX="{size[1]}" SizeY="{size[0]}" SizeC="4" SizeZ="{z}" SizeT="1"'
            f' PhysicalSizeX="0.1" PhysicalSizeY="0.1">'
            f"{channels}{data}</Pixels></Image>"
        )
    return images


def write(
    folder: Path,
    *,
    z: int = 1,
    own_uuid: bool = True,
    pictures: int = 1,
    companion: str = "",
    seed: int = 0,
    called: Sequence[str] = NAMES,
) -> list[Path]:
    """Write a data set with a file for each channel, in ``exports``."""
    data = np.stack([stack(z=z, seed=seed + at) for at in range(pictures)], 1)
    return write_data(folder / "exports", data, own_uuid=own_uuid, companion=companion, called=called)


def write_data(
    folder: Path,
    data: npt.NDArray[Any],
    *,
    own_uuid: bool = True,
    companion: str = "",
    called: Sequence[str] = NAMES,
) -> list[Path]:
    """Write the channels of a data set, of shape (C, pictures, Z, Y, X), as a file each."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"a_C{at}.ome.tif" for at in range(4)]
    _, pictures, z, *size = data.shape
    images = described(
        [path.name for path in paths],
        z=z,
        pictures=pictures,
        called=called,
        size=(size[0], size[1]),
        dtype=data.dtype.name,
    )
    for channel, path in enumerate(paths):
        uuid = f' UUID="urn:uuid:{channel}"' if own_uuid else ""
        text = f"{OME}{uuid}>{images}</OME>"
        if companion:
            text = f'{OME}{uuid}><BinaryOnly MetadataFile="{companion}" UUID="urn:uuid:m"/></OME>'
        planes = data[channel].reshape(-1, *size)
        tifffile.imwrite(path, planes, photometric="minisblack", description=text.encode(), metadata=None)
    if companion:
        (folder / companion).write_text(f'{OME} UUID="urn:uuid:m">{images}</OME>', encoding="utf-8")
    return paths
