"""Reads the field and channel of plane files from their names, and chooses the planes of a field."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hpa_sdk.errors import HpaError, SampleError
from hpa_sdk.fields.listing import same_name
from hpa_sdk.fields.samples import Channel

EXTENSIONS = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
"""Extensions of files that contain one plane each."""

FORMATS = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Their formats. If all planes of a field exist in several formats, the first one is used: a PNG or JPEG next to a TIFF
is its preview."""


@dataclass(frozen=True, slots=True)
class ChosenPlanes:
    """The planes of a field, chosen from all files of its name.

    Attributes
    ----------
    names : dict of Channel to str
        Names of files. A missing channel is not included.
    note : str
        What was left out, if all planes exist in several formats.
    problem : HpaError or None
        Why no planes can be chosen.
    """

    names: Mapping[Channel, str]
    note: str = ""
    problem: HpaError | None = None


def choose_planes(names: Sequence[str], where: str | os.PathLike[str]) -> ChosenPlanes:
    """Choose the planes of a field: all of one format, never a mixture.

    Parameters
    ----------
    names : sequence of str
        Names of files, without folders, that differ only in channel and extension.
    where : str or os.PathLike
        Their common path, for messages.

    Returns
    -------
    ChosenPlanes
        The planes of the only format in which all four exist. If there are several such formats, the first of TIFF, PNG
        and JPEG, with a note. Empty if the planes are spread over several formats, or a channel has two files of one.
    """
    by_format: dict[str, dict[Channel, str]] = {}
    for name in names:
        _, channel, extension = split_name(name)
        if channel is None:
            continue
        planes = by_format.setdefault(FORMATS[extension], {})
        if planes.setdefault(channel, name) != name:
            return _refused([planes[channel], name], f"two files are its {channel} plane", where)
    if len(by_format) <= 1:
        return ChosenPlanes(next(iter(by_format.values()), {}))
    whole = [form for form in dict.fromkeys(FORMATS.values()) if len(by_format.get(form, ())) == len(Channel)]
    if not whole:
        return _refused(sorted(names), "its planes lie there in several formats, and in none of them all", where)
    others = " and ".join(form for form in whole[1:])
    note = f"its planes lie there in {others} too: {whole[0]} was taken" if others else ""
    return ChosenPlanes(by_format[whole[0]], note)


def _refused(names: Sequence[str], what: str, where: str | os.PathLike[str]) -> ChosenPlanes:
    remedy = "Leave one file for each channel there, all of one format, or name one of the files of that format."
    return ChosenPlanes({}, problem=SampleError(f"{what} ({', '.join(names)})", where=where, remedy=remedy))


def names_by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    """Group the names of planes by their common part, in the form of `same_name`.

    Parameters
    ----------
    names : iterable of str
        Names of files, without folders. Other files are ignored, and so are previews and composites (whose names
        contain several colours in a row).
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in names:
        parts = _PLANE.fullmatch(name)
        if parts is not None and not _NO_FIELD.search(parts[1]):
            by_stem[same_name(parts[1])].append(name)
    return by_stem


def split_name(name: str) -> tuple[str, Channel | None, str]:
    """Split the name of a plane into the common part of its field, its channel, and its extension in lower case.

    For other files, the channel is None and the extension is empty.
    """
    parts = _PLANE.fullmatch(name)
    if parts is None or _NO_FIELD.search(parts[1]):
        return name, None, ""
    return parts[1], _COLOURS[parts[2].lower()], parts[3].lower()


# One match per name and no Path: a folder of 100,000 fields has 400,000 names.
_COLOURS = {channel.value: channel for channel in Channel}
_PLANE = re.compile(
    rf"(.+)_({'|'.join(_COLOURS)})(?:\.ome(?=\.tiff?$))?({'|'.join(map(re.escape, EXTENSIONS))})",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
_NO_FIELD = re.compile(
    rf"(?:_(?:{'|'.join(_COLOURS)})|(?:^|[_-])(?:thumb|thumbnail|preview))$", re.IGNORECASE | re.ASCII
)
