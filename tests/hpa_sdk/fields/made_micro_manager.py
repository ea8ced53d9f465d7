"""Writes Micro-Manager's own TIFFs by the public descriptions of the formats: image stacks (MMStack) and NDTiff.

https://micro-manager.org/Micro-Manager_File_Formats, https://github.com/micro-manager/NDTiffStorage
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

NAMES = ("DAPI", "POI", "MT", "ER")

Key = tuple[int, int, int]
"""Position, z and channel."""


def write_image_stack(
    path: Path,
    planes: dict[Key, npt.NDArray[np.uint16]],
    *,
    positions: int = 1,
    depth: int = 1,
    ome: str = "",
    names: Sequence[str] = NAMES,
    **summary: Any,
) -> Path:
    """Write the planes of one file of an image stack; `positions` and `depth` are those of the whole acquisition."""
    about = {
        "MicroManagerVersion": "2.0.3",
        "Prefix": path.name.partition("_MMStack")[0],
        "Frames": 1,
        "Slices": depth,
        "Channels": len(names),
        "Positions": positions,
        "ChNames": list(names),
        "PixelSize_um": 0.1,
        **summary,
    }
    text = json.dumps(about).encode()
    text += b" " * (len(text) % 2)
    content = bytearray(40) + text
    index: list[bytes] = []
    follow_at = 4
    for (position, z, channel), plane in planes.items():
        at = len(content)
        content[follow_at : follow_at + 4] = struct.pack("<I", at)
        height, width = plane.shape
        description = ome.encode() + b"\0" if ome and not index else b""
        about_plane = json.dumps({"PositionIndex": position, "PixelSizeUm": 0.1}).encode() + b"\0"
        pixels = plane.astype("<u2").tobytes()
        count = 10 + bool(description)
        pixels_at = at + 2 + 12 * count + 4
        behind = pixels_at + len(pixels)
        entries = [
            *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1)),
            *((273, 4, 1, pixels_at), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, len(pixels))),
            (51123, 2, len(about_plane), behind),
        ]
        if description:
            entries.append((270, 2, len(description), behind + len(about_plane)))
        content += struct.pack("<H", count) + b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
        follow_at = len(content)
        content += bytes(4) + pixels + about_plane + description
        content += bytes(len(content) % 2)
        index.append(struct.pack("<5I", channel, z, 0, position, at))
    index_at = len(content)
    content += struct.pack("<II", 3453623, len(index)) + b"".join(index)
    blocks = []
    for magic, block in ((347834724, b"[]"), (84720485, b"{}")):
        blocks.append(len(content))
        content += struct.pack("<II", magic, len(block)) + block
    content[:4] = b"II*\0"
    content[8:40] = struct.pack(
        "<8I", 54773648, index_at, 483765892, blocks[0], 99384722, blocks[1], 2355492, len(text)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def ome_of(files: Mapping[str, Iterable[Key]], size: tuple[int, int], depth: int = 1) -> str:
    """Describe the planes of all files, as Micro-Manager does in each of them: a picture for each position."""
    images: dict[int, str] = {}
    for name, keys in files.items():
        for position, z, channel in keys:
            images[position] = images.get(position, "") + (
                f'<TiffData FirstC="{channel}" FirstT="0" FirstZ="{z}" IFD="0" PlaneCount="1">'
                f'<UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
            )
    pictures = "".join(
        f'<Image ID="Image:{at}" Name="Pos{at}"><Pixels ID="Pixels:{at}" DimensionOrder="XYCZT" Type="uint16"'
        f' SizeX="{size[1]}" SizeY="{size[0]}" SizeC="4" SizeZ="{depth}" SizeT="1">{data}</Pixels></Image>'
        for at, data in images.items()
    )
    return f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2013-06">{pictures}</OME>'


def write_ndtiff(folder: Path, files: dict[str, list[tuple[dict[str, Any], npt.NDArray[np.uint16]]]]) -> None:
    """Write an NDTiff of version 3: the axes and the plane of each picture of each file, and the index of all."""
    folder.mkdir(parents=True, exist_ok=True)
    index = b""
    for name, planes in files.items():
        summary = json.dumps({"PixelSize_um": 0.1}).encode()
        content = bytearray(b"II*\0" + struct.pack("<6I", 0, 483729, 3, 0, 2355492, len(summary)) + summary)
        content += bytes(len(content) % 2)
        follow_at = 4
        for axes, plane in planes:
            at = len(content)
            content[follow_at : follow_at + 4] = struct.pack("<I", at)
            height, width = plane.shape
            about = b"{}\0"
            pixels = plane.astype("<u2").tobytes()
            pixels_at = at + 2 + 12 * 10 + 4
            entries = [
                *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1)),
                *((273, 4, 1, pixels_at), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, len(pixels))),
                (51123, 2, len(about), pixels_at + len(pixels)),
            ]
            content += struct.pack("<H", 10) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
            follow_at = len(content)
            content += bytes(4) + pixels + about
            content += bytes(len(content) % 2)
            keys, own = json.dumps(axes).encode(), name.encode()
            index += struct.pack("<I", len(keys)) + keys + struct.pack("<I", len(own)) + own
            index += struct.pack("<IiiiiIii", pixels_at, width, height, 1, 0, pixels_at + len(pixels), len(about), 0)
        (folder / name).write_bytes(content)
    (folder / "NDTiff.index").write_bytes(index)
