"""Finds the planes that an OME-TIFF describes, in its own file and in other files of the same folder.

https://docs.openmicroscopy.org/ome-model/latest/ome-tiff/specification.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.axes import name_axes
from hpa_sdk.fields.channel_stack import ChannelName, load, pixel_size
from hpa_sdk.fields.planes import damaged
from hpa_sdk.fields.tiff_place import Look, Others, PartError, Picture, Place, check_count

_ELSEWHERE = re.compile(r"[/\\:]")
_UUID = re.compile(r'<(?:\w+:)?OME\b[^>]*?\bUUID\s*=\s*["\']([^"\']*)')
_NUMBERED = re.compile(r"\AChannel:[\d:]*\Z")
_MOST_FILES = 1000
_MOST_TEXT = 2**26
_WHOLE = "Copy all files of the field into one folder, or export it as one file."


@dataclass(frozen=True, slots=True)
class _Address:
    """A page of a file, as the description names it: by UUID and file name. Both are empty for the file itself."""

    uuid: str | None
    name: str
    page: int


class OmeFile:
    """An OME-TIFF and its description.

    Parameters
    ----------
    tiff : tifffile.TiffFile
        The open file.
    path : pathlib.Path
        Its path.
    others : Others
        Collects the additional files that are read.
    """

    def __init__(self, tiff: Any, path: Path, others: Others) -> None:  # noqa: ANN401 - a package without types
        self._tiff = tiff
        self._path = path
        self._others = others
        self._pages: dict[Path, list[int]] = {}
        self._found: dict[str, Path | None] = {}
        root = _parse(tiff.ome_metadata, path)
        self._uuid = root.get("UUID")
        binary = _child(root, "BinaryOnly")
        if binary is not None:
            root = _parse(self._companion(binary.get("MetadataFile", "")), path)
        if any(_ELSEWHERE.search(_file_name(element)) for element in root.iter() if _tag(element) == "UUID"):
            raise PlaneError(
                "its metadata name files in other folders", where=path, remedy="Export it as a file of its own."
            )
        self._images = list(_children(root, "Image"))
        self._modulo = {
            str(annotation.get("ID")): along
            for annotation in root.iter()
            for along in annotation.iter()
            if annotation is not along and _tag(along).startswith("ModuloAlong") and annotation.get("ID")
        }
        self._uuids = {element.text for element in root.iter() if _tag(element) == "UUID"}

    def scenes(self, *, one_plane: bool) -> dict[str, Look]:
        """Return the pictures whose first plane is in this file, by number.

        Parameters
        ----------
        one_plane : bool
            Whether a file of one page is only that plane, even if it is part of a larger field.
        """
        alone = one_plane and len(self._tiff.pages) == 1
        own, parts = [], []
        for image in self._images:
            check_count(math.prod(_sizes(_pixels(image))[axis] for axis in "CZT"), self._path)
            planes = _planes(image, len(self._tiff.pages))
            if planes and self._is_own(planes[min(planes)]):
                own.append(image)
            elif any(map(self._is_own, planes.values())):
                parts.append(image)
        if own:
            return {str(at): partial(self._look, image, alone=alone) for at, image in enumerate(own)}
        if parts:
            return {"0": partial(self._look, parts[0], alone=alone)}
        return {}

    def _look(self, image: ET.Element, *, alone: bool) -> Picture:
        pixels = _pixels(image)
        size, notes = _pixel_size(pixels, self._path)
        own = self._offsets(self._path)
        if alone and len(own) == 1 and math.prod(_sizes(pixels)[axis] for axis in "CZT") > 1:
            (place,) = _samples(Place(self._path, own[0])).values()
            return Picture({(0, 0): place}, (), size, notes)
        for reference in _children(image, "AnnotationRef"):
            if (along := self._modulo.get(str(reference.get("ID")))) is not None:
                raise PlaneError(
                    f"its axis {_tag(along)[-1]} also counts {along.get('Type', 'others')} ({_tag(along)})",
                    where=self._path,
                    remedy="Export each of them as a picture of its own.",
                )
        sizes = _sizes(pixels)
        described = _planes(image, len(own))
        name_axes(tuple("TZCYX"), tuple(sizes[axis] for axis in "TZCYX"), "", self._path)
        first = described[min(described)]
        holder = self._find(first)
        if holder is not None and holder != self._path:
            raise PartError(self._path, holder)
        places = self._places(described, sizes)
        _check_size(places, sizes, self._path)
        return Picture(places, _names(pixels), size, notes)

    def _places(
        self, described: Mapping[tuple[int, int, int], _Address], sizes: Mapping[str, int]
    ) -> dict[tuple[int, int], Place]:
        missing = sorted({address.name for address in described.values() if self._find(address) is None})
        if missing:
            raise PlaneError(
                f"its planes are spread over several files, and {', '.join(missing)}"
                f" {'is' if len(missing) == 1 else 'are'} not there",
                where=self._path,
                remedy=_WHOLE,
            )
        places: dict[tuple[int, int], Place] = {}
        for (_, z, channel), address in described.items():
            path = self._find(address) or self._path
            offsets = self._offsets(path)
            if address.page >= len(offsets):
                raise PlaneError(
                    f"its description names page {address.page} of {path.name}, which has {len(offsets)}",
                    where=self._path,
                    remedy="The export was not finished: export the field again.",
                )
            for sample, place in _samples(Place(path, offsets[address.page])).items():
                places[channel + sample, z] = place
        places[min(places)].layout()  # refuses a colour picture here, before its planes count as missing
        wanted = set(product(range(sizes["C"]), range(sizes["Z"])))
        if lacking := sorted(wanted - places.keys()):
            raise PlaneError(
                f"its description gives {len(wanted)} planes and says where {len(places)} of them are"
                f" (the first without a place is channel {lacking[0][0]}, z {lacking[0][1]})",
                where=self._path,
                remedy="The export was not finished: export the field again.",
            )
        return {place: places[place] for place in wanted}

    def _is_own(self, address: _Address) -> bool:
        if address.uuid is None or address.uuid == self._uuid:
            return True
        if self._uuid is not None:
            return False
        if address.name.casefold() == self._path.name.casefold():
            return True
        # A single file is named. It is this one under another name, unless a file of that name exists.
        return len(self._uuids) == 1 and self._beside(address) is None

    def _find(self, address: _Address) -> Path | None:
        """Find the file of a page: by its name, if that file has the UUID, or under another name in the same folder."""
        if self._is_own(address):
            return self._path
        if str(address.uuid) not in self._found:
            found = self._beside(address)
            if found is not None:
                self._others.add(found)
                if self._beside(address) != found:  # it was replaced before its state was recorded
                    found = None
            self._found[str(address.uuid)] = found
        return self._found[str(address.uuid)]

    def _beside(self, address: _Address) -> Path | None:
        folder = self._path.parent
        named = folder / address.name
        if address.name and named.is_file() and _uuid_of(named) in {address.uuid, None}:
            return named
        return next((file for file in _tiffs(folder) if file != self._path and _uuid_of(file) == address.uuid), None)

    def _offsets(self, path: Path) -> list[int]:
        """Return the offsets of the tags of each page of a file."""
        if path not in self._pages:
            if path == self._path:
                self._pages[path] = [int(page.offset) for page in self._tiff.pages]
            else:
                with load("tifffile", extra="workstation", path=path).TiffFile(path) as tiff:
                    self._pages[path] = [int(page.offset) for page in tiff.pages]
        return self._pages[path]

    def _companion(self, name: str) -> str:
        if not name or _ELSEWHERE.search(name):
            raise PlaneError(
                "its description lies in another folder, or nowhere",
                where=self._path,
                remedy="Export it as a file that describes itself.",
            )
        path = self._path.parent / name
        if not path.is_file():
            described = (file for file in sorted(path.parent.glob("*.companion.ome"))[:_MOST_FILES])
            path = next((file for file in described if self._uuid and self._uuid in _text(file)), path)
        if not path.is_file():
            raise PlaneError(
                f"its planes are spread over several files, and the one that describes them ({name}) is not there",
                where=self._path,
                remedy="Copy it beside the others, or export the field as one file.",
            )
        self._others.add(path, describes=True)
        return _text(path)


def _text(path: Path) -> str:
    """Read a description: from a separate file, or from another OME-TIFF."""
    with path.open("rb") as file:
        content = file.read(_MOST_TEXT)
    if content[:2] not in {b"II", b"MM"}:
        return content.decode("utf-8-sig", errors="replace")
    with load("tifffile", extra="workstation", path=path).TiffFile(path) as tiff:
        return tiff.ome_metadata or ""


def _parse(text: str, path: Path) -> ET.Element:
    try:
        return ET.fromstring(text)  # noqa: S314 - expat limits the expansion of entities
    except ET.ParseError as error:
        raise damaged(f"its OME-XML is broken: {error}", path) from error


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _children(element: ET.Element, tag: str) -> Iterator[ET.Element]:
    return (child for child in element if _tag(child) == tag)


def _child(element: ET.Element, tag: str) -> ET.Element | None:
    return next(_children(element, tag), None)


def _file_name(uuid: ET.Element) -> str:
    return uuid.get("FileName", "")


def _pixels(image: ET.Element) -> ET.Element:
    pixels = _child(image, "Pixels")
    return ET.Element("Pixels") if pixels is None else pixels


def _sizes(pixels: ET.Element) -> dict[str, int]:
    return {axis: int(pixels.get(f"Size{axis}", 1)) for axis in "TZCYX"}


def _planes(image: ET.Element, own_pages: int) -> dict[tuple[int, int, int], _Address]:
    """Return the address of the plane of each time, z and channel; if channels are samples of one page, the first."""
    pixels = _pixels(image)
    sizes = _sizes(pixels)
    channel = _child(pixels, "Channel")
    samples = int(channel.get("SamplesPerPixel", 1)) if channel is not None else 1
    steps = {"C": max(samples, 1), "Z": 1, "T": 1}
    # The first letter varies fastest.
    order = [axis for axis in pixels.get("DimensionOrder", "XYCZT") if axis in steps]
    slots = [
        dict(zip(reversed(order), at, strict=True))
        for at in product(*(range(0, sizes[axis], steps[axis]) for axis in reversed(order)))
    ]
    numbers = {tuple(slot[axis] for axis in "TZC"): at for at, slot in enumerate(slots)}
    planes: dict[tuple[int, int, int], _Address] = {}
    listed = list(_children(pixels, "TiffData"))
    for data in listed or [ET.Element("TiffData")]:
        uuid = _child(data, "UUID")
        page = int(data.get("IFD", 0))
        count = int(data.get("PlaneCount", data.get("NumPlanes", 1 if "IFD" in data.attrib else 0)))
        begin = numbers.get(tuple(int(data.get(f"First{axis}", 0)) for axis in "TZC"))
        if begin is None:
            continue
        for step, slot in enumerate(slots[begin : begin + (count or max(own_pages - page, 1))]):
            address = (
                _Address(None, "", page + step) if uuid is None else _Address(uuid.text, _file_name(uuid), page + step)
            )
            planes[slot["T"], slot["Z"], slot["C"]] = address
    return planes


def _samples(place: Place) -> dict[int, Place]:
    """Return the planes of a page: one, or its planar samples."""
    count = place.tags().planar_samples
    if count == 1:
        return {0: place}
    return {sample: Place(place.path, place.directory, sample) for sample in range(count)}


def _names(pixels: ET.Element) -> list[str]:
    return [
        # An ID has information if a program has not just numbered it.
        ChannelName(channel.get("Name", ""), channel.get("Fluor", ""), _NUMBERED.sub("", channel.get("ID", "")))
        for channel in _children(pixels, "Channel")
    ]


def _pixel_size(pixels: ET.Element, path: Path) -> tuple[float | None, tuple[str, ...]]:
    def size(axis: str) -> float | None:
        try:
            return float(pixels.get(f"PhysicalSize{axis}", ""))
        except ValueError:
            return None

    units = (pixels.get("PhysicalSizeYUnit", "µm"), pixels.get("PhysicalSizeXUnit", "µm"))
    return pixel_size((size("Y"), size("X")), units, path)


def _check_size(places: Mapping[tuple[int, int], Place], sizes: Mapping[str, int], path: Path) -> None:
    layout = places[min(places)].layout()
    if (layout.height, layout.width) != (sizes["Y"], sizes["X"]):
        raise PlaneError(
            f"its description gives {sizes['X']}x{sizes['Y']} pixels, and the plane has {layout.width}x{layout.height}",
            where=path,
            remedy="Export the field again.",
        )


def _tiffs(folder: Path) -> list[Path]:
    files = (file for file in folder.iterdir() if file.suffix.lower() in {".tif", ".tiff"})
    return sorted(file for file in files if not file.name.startswith("."))[:_MOST_FILES]


def _uuid_of(path: Path) -> str | None:
    """Return the UUID of an OME-TIFF; None if it has none, and empty if it is not a TIFF."""
    tifffile = load("tifffile", extra="workstation", path=path)
    try:
        with tifffile.TiffFile(path) as tiff:
            found = _UUID.search(tiff.ome_metadata or "")
    except (OSError, ValueError, IndexError, KeyError):
        return ""
    return found[1] if found else None
