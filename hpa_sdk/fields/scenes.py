"""Opens microscope files of any format as scenes: the channels of one field, plane by plane."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields import ome_zarr, tiff_stack, vendors
from hpa_sdk.fields.channel_stack import ChannelStack, Scene
from hpa_sdk.fields.ome_zarr_chunks import MissingChunks
from hpa_sdk.fields.picture_file import read_picture
from hpa_sdk.fields.planes import plane_errors

PICTURES = (".png", ".jpg", ".jpeg")
"""Extensions of files that contain one plane each."""

TIFF = (".tif", ".tiff", ".tf2", ".tf8", ".btf", ".stk", ".lsm")
"""Extensions of TIFF files: of the OME-TIFF specification, including BigTIFF, and of MetaMorph and Zeiss."""

OME_ZARR = ".zarr"
"""Extension of OME-Zarr folders."""

Given = TypeVar("Given")


@contextmanager
def open_scenes(
    path: Path, only: str | None = None, missing_chunks: MissingChunks = "refuse", *, one_plane: bool = False
) -> Iterator[dict[str, Scene]]:
    """Open a file and return its scenes by name, at least one.

    Parameters
    ----------
    path : pathlib.Path
        A file or folder. Its extension decides the format.
    only : str, optional
        Name of the wanted scene. If a format can find it directly, no other scene is opened.
    missing_chunks : str
        What to do with missing chunks of an OME-Zarr: see `hpa_sdk.fields.rules.Files`.
    one_plane : bool
        Whether a file of one plane is only that plane, even if it describes itself as part of a larger field.

    Raises
    ------
    PartError
        All planes of the file belong to the field of another file. Scenes raise this too.
    PlaneError
        The file is missing, damaged or of an unknown format, or a package to read it is not installed. Scenes and their
        channels raise this too.
    """
    with ExitStack() as opened:
        opener = _opener(path)
        if opener is ome_zarr.open_file:
            opener = partial(ome_zarr.open_file, only=only, missing_chunks=missing_chunks)
        elif opener is tiff_stack.open_file:
            opener = partial(tiff_stack.open_file, one_plane=one_plane)
        scenes = _with_errors(path, lambda: opened.enter_context(opener(path)))
        if not scenes or (only is not None and only not in scenes):
            raise PlaneError("the file holds no picture", where=path, remedy="Export the field again.")
        yield {name: partial(_look, path, scene) for name, scene in scenes.items()}


def _look(path: Path, scene: Scene) -> tuple[ChannelStack, ...]:
    return tuple(replace(stack, read=partial(_with_errors, path, stack.read)) for stack in _with_errors(path, scene))


def _with_errors(path: Path, function: Callable[..., Given], *arguments: object) -> Given:
    try:
        with plane_errors(path):
            return function(*arguments)
    except FileNotFoundError as error:
        raise PlaneError(
            "it, or a part of it, is not there", where=path, remedy="Copy it again, as a whole."
        ) from error


@contextmanager
def _open_picture(path: Path) -> Iterator[dict[str, Scene]]:
    yield {"0": lambda: (ChannelStack("", 0, path, 1, lambda _: read_picture(path)[0], None),)}


def extension_of(name: str) -> str:
    """Return the extension that decides the format of a file, in lower case: the last, or both of ``.zarr.zip``."""
    lower = name.lower()
    return _ZARR_ZIP if lower.endswith(_ZARR_ZIP) else os.path.splitext(lower)[1]  # noqa: PTH122 - faster than a Path


_ZARR_ZIP = ".zarr.zip"
_Opener = Callable[[Path], AbstractContextManager[dict[str, Scene]]]


def _opener(path: Path) -> _Opener:
    opener = OPENERS.get(extension_of(path.name))
    if opener is None:
        raise PlaneError(
            "no format of microscopes has this extension", where=path, remedy=f"Known are {', '.join(OPENERS)}."
        )
    return opener


OPENERS: dict[str, _Opener] = {
    **dict.fromkeys(TIFF, tiff_stack.open_file),
    **dict.fromkeys(PICTURES, _open_picture),
    OME_ZARR: ome_zarr.open_file,
    **dict.fromkeys((".ozx", _ZARR_ZIP), ome_zarr.open_zip),
    **dict.fromkeys((".nd2", ".czi", ".lif"), vendors.open_file),
}
"""The function that opens a file, by its extension."""

STACKS = tuple(extension for extension in OPENERS if extension not in PICTURES)
"""Extensions of files and folders that can contain all channels of a field."""
