"""Reads from the names of plane files which channel of which field they are, and chooses the planes of a field."""

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
"""Extensions of files that hold one plane each."""

FORMATS = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Their formats. Where all planes of a field lie there in several, the first counts: a PNG or JPEG beside a TIFF is its
preview."""


@dataclass(frozen=True, slots=True)
class ChosenPlanes:
    """The planes of a field among all files of its name.

    Attributes
    ----------
    names : dict of Channel to str
        Names of files; a channel that is not there is missing.
    note : str
        What was left out, if all planes lie there in several formats.
    problem : HpaError or None
        Why none can be chosen.
    """

    names: Mapping[Channel, str]
    note: str = ""
    problem: HpaError | None = None


def choose_planes(names: Sequence[str], where: str | os.PathLike[str]) -> ChosenPlanes:
    """Choose the planes of a field: all of one format, never one of this and one of that.

    Parameters
    ----------
    names : sequence of str
        Names of files, without folders, that differ in channel and extension alone.
    where : str or os.PathLike
        What they have in common, with its folder, for messages.

    Returns
    -------
    ChosenPlanes
        The only format in which all four planes are there; of several such the first of TIFF, PNG and JPEG, with a
        note. Nothing where the planes are spread over several formats, or a channel has two files of one format.
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
    """Group the names of planes by what they have in common, in the form of `same_name`.

    Parameters
    ----------
    names : iterable of str
        Names of files, without folders. Those of other files are ignored, and so are composites, whose names have
        several colours in a row, and previews.
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    for name in names:
        parts = _PLANE.fullmatch(name)
        if parts is not None and not _NO_FIELD.search(parts[1]):
            by_stem[same_name(parts[1])].append(name)
    return by_stem


def split_name(name: str) -> tuple[str, Channel | None, str]:
    """Split the name of a plane into what its field's planes share, its channel, and its extension in small letters.

    The channel is None, and the extension empty, for the name of another file.
    """
    parts = _PLANE.fullmatch(name)
    if parts is None or _NO_FIELD.search(parts[1]):
        return name, None, ""
    return parts[1], _COLOURS[parts[2].lower()], parts[3].lower()


# One match and no Path for a name: there are 400,000 of them in a folder of 100,000 fields.
_COLOURS = {channel.value: channel for channel in Channel}
_PLANE = re.compile(
    rf"(.+)_({'|'.join(_COLOURS)})(?:\.ome(?=\.tiff?$))?({'|'.join(map(re.escape, EXTENSIONS))})",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
_NO_FIELD = re.compile(
    rf"(?:_(?:{'|'.join(_COLOURS)})|(?:^|[_-])(?:thumb|thumbnail|preview))$", re.IGNORECASE | re.ASCII
)
