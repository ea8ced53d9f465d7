"""Opens OME-Zarr folders as scenes: NGFF 0.4 (Zarr 2) and 0.5 (Zarr 3), single pictures, series and plates.

The metadata keys are those of https://ngff.openmicroscopy.org.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.axes import name_axes
from hpa_sdk.fields.channel_stack import ChannelStack, Scene, check_type, load
from hpa_sdk.fields.ome_zarr_channels import channel_names, described, pixel_size
from hpa_sdk.fields.ome_zarr_chunks import MissingChunks, check_chunks
from hpa_sdk.fields.ome_zarr_places import EXPORT, check_picture, group_at, ome_of, open_root, places_of
from hpa_sdk.fields.pixel_rules import StoredForm, as_plane
from hpa_sdk.fields.planes import check_size
from hpa_sdk.preprocessing import Planes

_FIRST_AXES = ("t", "c", "z", "y", "x")  # of every picture in versions 0.1 and 0.2


@contextmanager
def open_file(
    path: Path, only: str | None = None, missing_chunks: MissingChunks = "refuse"
) -> Iterator[dict[str, Scene]]:
    """Open an OME-Zarr folder. Each picture in it is a scene, named by its path in the folder.

    Parameters
    ----------
    path : pathlib.Path
        The folder.
    only : str, optional
        The path of the wanted picture. The others are not opened.
    missing_chunks : str
        As for `hpa_sdk.fields.ome_zarr_chunks.check_chunks`.
    """
    root = open_root(load("zarr", extra="workstation", path=path), path)
    # A plate has hundreds of pictures, and each of them is a field that is read separately.
    places = places_of(root, path) if only is None else [only]
    yield {place: partial(_channels, root, place, path, missing_chunks) for place in places}


@contextmanager
def open_zip(path: Path) -> Iterator[dict[str, Scene]]:
    """Refuse an OME-Zarr in a ZIP archive, and say what to do instead."""
    if not path.is_file():
        raise FileNotFoundError(path)
    raise PlaneError(
        "an OME-Zarr in a ZIP archive is not read",
        where=path,
        remedy="Unpack it to a folder whose name ends with .ome.zarr.",
    )
    yield {}


def _channels(root: Any, place: str, path: Path, missing_chunks: MissingChunks) -> tuple[ChannelStack, ...]:  # noqa: ANN401
    group = group_at(root, place, path)
    ome = ome_of(group)
    check_picture(group, place, path)
    try:
        pictures = list(ome["multiscales"])
        scales = pictures[0]
        level = scales["datasets"][0]
        at = str(level["path"])
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise PlaneError(f"it describes no picture ({error!r})", where=path, remedy=EXPORT) from error
    array = _array(group, at, place, path)
    axes = named_axes(scales, ome, array.ndim, path)
    letters = axis_letters(axes, array.ndim, path)
    sizes = name_axes(letters, array.shape, "", path)
    check_type(array.dtype, path)
    check_size(sizes["X"], sizes["Y"], path)
    xml = described(root, place, path)
    names, name_notes = channel_names(ome, xml, sizes.get("C", 1))
    size, size_notes = pixel_size(axes, (scales, level), xml, path)
    more = len(pictures) - 1
    notes = (
        *((f"the OME-Zarr describes {more} more picture{'s' if more > 1 else ''}; the first is read",) if more else ()),
        *name_notes,
        *size_notes,
        *check_chunks(array, path, missing_chunks),
    )

    def read(channel: int, z: int) -> Planes:
        at = {"C": channel, "Z": z, "Y": slice(None), "X": slice(None)}
        return as_plane(np.asarray(array[tuple(at.get(letter, 0) for letter in letters)]), StoredForm())

    return tuple(
        ChannelStack(name, number, path, sizes.get("Z", 1), partial(read, number), size, notes)
        for number, name in enumerate(names)
    )


def _array(group: Any, at: str, place: str, path: Path) -> Any:  # noqa: ANN401
    named = f"{place}/{at}" if place else at
    try:
        array = group[at]
    except KeyError as error:
        raise PlaneError(
            f"its pixels ({named}) are not there",
            where=path,
            remedy="Copy or export it again, with its picture of full size.",
        ) from error
    except ValueError as error:  # zarr and numcodecs have no common name for these
        reason = str(error)
        if "codec" in reason.lower():
            raise PlaneError(
                f"its pixels are compressed in a way that is not read here ({reason})",
                where=path,
                remedy="Install the package of that codec, or export it with Blosc, Zstandard or gzip.",
            ) from error
        if "No Zarr data type" in reason:
            raise PlaneError(
                f"the type of its pixels is not read ({reason})",
                where=path,
                remedy="Export it as unsigned numbers of 8 or 16 bits.",
            ) from error
        raise
    if not hasattr(array, "shape"):
        raise PlaneError(f"its pixels ({named}) are a group, and no array", where=path, remedy=EXPORT)
    return array


def named_axes(scales: dict[str, Any], ome: dict[str, Any], count: int, path: Path) -> list[dict[str, Any]]:
    """Return the axes in the form of 0.4. Version 0.3 has only their names; before it all pictures had these five.

    Raises
    ------
    PlaneError
        They have no names.
    """
    version = str(scales.get("version", ome.get("version", "")))
    axes = scales.get("axes", _FIRST_AXES if version in {"0.1", "0.2"} and count == len(_FIRST_AXES) else None)
    if not isinstance(axes, (list, tuple)):
        raise PlaneError(
            f"its axes have no names (its version is {version or 'not given'})",
            where=path,
            remedy=EXPORT,
        )
    listed = [{"name": axis} if isinstance(axis, str) else axis for axis in axes]
    if not all(isinstance(axis, dict) and "name" in axis for axis in listed):
        raise PlaneError("one of its axes has no name", where=path, remedy=EXPORT)
    return listed


def axis_letters(axes: list[dict[str, Any]], count: int, path: Path) -> list[str]:
    """Return the letters of axes, such as C, Y and X, and check that they are those of an array with so many axes.

    Raises
    ------
    PlaneError
        There are more or fewer, the last two are not y and x, or two are the same.
    """
    letters = [_letter(axis) for axis in axes]
    if len(letters) != count:
        raise PlaneError(
            f"it names {len(letters)} axes ({', '.join(letters)}), and its pixels have {count}",
            where=path,
            remedy=EXPORT,
        )
    if letters[-2:] != ["Y", "X"]:
        raise PlaneError(f"its axes are {', '.join(letters)}, and the last not y and x", where=path, remedy=EXPORT)
    twice = sorted({letter for letter in letters if letters.count(letter) > 1})
    if twice:
        raise PlaneError(f"two axes have the name {twice[0]} ({', '.join(letters)})", where=path, remedy=EXPORT)
    return letters


_TYPES = {"channel": ("C",), "time": ("T",), "space": ("X", "Y", "Z")}


def _letter(axis: dict[str, Any]) -> str:
    """Return the letter of an axis, by its type if that is in the specification, else its own name."""
    name, kind = str(axis["name"]).upper(), str(axis.get("type") or "").lower()
    letters = _TYPES.get(kind, ())
    if name in letters:
        return name
    # Channels and time can have any name. A space axis, or an axis without a type, is identified by its name.
    if len(letters) == 1 and not any(name in others for others in _TYPES.values()):
        return letters[0]
    return f"{name} (type {kind})" if kind else name
