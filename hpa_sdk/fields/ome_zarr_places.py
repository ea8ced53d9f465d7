"""Finds the pictures in an OME-Zarr folder: a single one, a series of bioformats2raw, the fields of a well or plate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpa_sdk.errors import PlaneError

EXPORT = "Export it as OME-Zarr 0.4 or 0.5."
"""The remedy for metadata that do not follow the specification."""

_UNUSABLE = (AttributeError, IndexError, KeyError, OSError, TypeError, ValueError)
_MOST_NAMED = 5


def open_root(zarr: Any, path: Path) -> Any:  # noqa: ANN401 - packages without types
    """Open the root group of an OME-Zarr folder.

    Raises
    ------
    PlaneError
        It is a plain Zarr array, or has no metadata.
    FileNotFoundError
        There is no such folder.
    """
    try:
        # Consolidated metadata are a copy, which can be outdated.
        return zarr.open_group(path, mode="r", use_consolidated=False)
    except (zarr.errors.ContainsArrayError, zarr.errors.GroupNotFoundError) as error:
        if isinstance(error, zarr.errors.ContainsArrayError) or (path / ".zarray").is_file():
            raise PlaneError(
                "it is a plain Zarr array, without the metadata of OME-Zarr", where=path, remedy=EXPORT
            ) from error
        raise PlaneError(
            "its metadata (zarr.json or .zgroup) are not there",
            where=path,
            remedy="Copy or export it again, with all files in it.",
        ) from error


def ome_of(node: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the OME metadata of a group. Version 0.5 stores them under a key of their own, version 0.4 does not."""
    attributes: dict[str, Any] = node.attrs.asdict()
    ome = attributes.get("ome")
    return {**attributes, **ome} if isinstance(ome, dict) else attributes


def places_of(root: Any, path: Path) -> list[str]:  # noqa: ANN401
    """List the pictures of a folder by their paths in it.

    A picture that is listed but missing is included. It fails when it is read, and does not affect the others.

    Raises
    ------
    PlaneError
        The metadata of a plate list no wells.
    """
    ome = ome_of(root)
    if "plate" in ome:
        return list(dict.fromkeys(_places_in_plate(root, ome["plate"], path)))
    if "well" in ome:
        return [place for place in _images(root, "") if place]
    if "bioformats2raw.layout" in ome:
        return listed_series(root) or sorted((name for name in _folders(path) if name.isdecimal()), key=int)
    return [""]


def listed_series(root: Any) -> list[str]:  # noqa: ANN401
    """List the pictures in the order of ``OME/METADATA.ome.xml``; empty if no order is given."""
    try:
        series = ome_of(root["OME"])["series"]
    except _UNUSABLE:
        return []
    return [str(place) for place in series] if isinstance(series, list) else []


def group_at(root: Any, place: str, path: Path) -> Any:  # noqa: ANN401
    """Open the group of one picture.

    Raises
    ------
    PlaneError
        It is missing, or has no metadata.
    """
    if not place:
        return root
    try:
        return root[place]
    except KeyError as error:
        there = Path(path, place).is_dir()
        raise PlaneError(
            f"{place} is listed in its metadata, and {'the metadata of it are' if there else 'is'} not there",
            where=path,
            remedy="Copy or export it again, unless it was never acquired; what else is listed does not depend on it.",
        ) from error


def check_picture(group: Any, place: str, path: Path) -> None:  # noqa: ANN401
    """Check that a group describes a picture.

    Raises
    ------
    PlaneError
        It does not. The message says what it is instead.
    """
    ome = ome_of(group)
    what, remedy = "it describes no picture ('multiscales' is missing)", EXPORT
    if "image-label" in ome or ("labels" in ome and "multiscales" not in ome):
        what, remedy = "it holds labels (a segmentation), and no picture", "Give the OME-Zarr that they are a part of."
    elif not hasattr(group, "group_keys"):
        what = f"{place} is a Zarr array, without the metadata of OME-Zarr"
    elif "multiscales" in ome:
        return
    elif place:
        what = f"{place} has no metadata that name a picture"
        remedy = "Copy or export it again, unless it was never acquired."
    elif inside := [name for name in sorted(_folders(path)) if is_picture(group, name)]:
        named = ", ".join(inside[:_MOST_NAMED]) + (", ..." if len(inside) > _MOST_NAMED else "")
        what = f"it describes no picture itself, and has pictures in it ({named})"
        remedy = "Give each a name that ends with .ome.zarr and a place of its own, or export them as one series."
    raise PlaneError(what, where=path, remedy=remedy)


def is_picture(root: Any, place: str) -> bool:  # noqa: ANN401
    """Whether a group exists and describes a picture."""
    try:
        return "multiscales" in ome_of(root[place])
    except _UNUSABLE:
        return False


def _places_in_plate(root: Any, plate: Any, path: Path) -> Iterator[str]:  # noqa: ANN401
    wells = plate.get("wells") if isinstance(plate, dict) else None
    if not isinstance(wells, list) or not wells:
        raise PlaneError("it is a plate, and its metadata list no wells", where=path, remedy=EXPORT)
    for number, well in enumerate(wells):
        yield from _images(root, _well(plate, well) or f"well {number}")


def _well(plate: dict[str, Any], well: Any) -> str:  # noqa: ANN401
    """Return the path of a well: as given, or made from the names of its row and column; empty without either."""
    try:
        if "path" in well:
            return str(well["path"])
        return f"{plate['rows'][well['rowIndex']]['name']}/{plate['columns'][well['columnIndex']]['name']}"
    except _UNUSABLE:
        return ""


def _images(root: Any, well: str) -> list[str]:  # noqa: ANN401
    """List the fields of a well; the well itself if no fields are given, so that it fails when it is read."""
    inside = f"{well}/" if well else ""
    try:
        group = root[well] if well else root
        images = ome_of(group).get("well", {}).get("images")
        if images is not None:
            return [f"{inside}{image['path']}" for image in images]
        return [f"{inside}{name}" for name in sorted(group.group_keys()) if is_picture(group, name)] or [well]
    except _UNUSABLE:
        return [well]


def _folders(path: Path) -> list[str]:
    return [entry.name for entry in path.iterdir() if entry.is_dir()]
