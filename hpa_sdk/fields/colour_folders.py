"""Finds the planes of fields in one folder per colour, as download tools of the Human Protein Atlas write them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hpa_sdk.errors import SampleError
from hpa_sdk.fields.listing import Folder, raise_unlistable, same_name, walk
from hpa_sdk.fields.plane_files import EXTENSIONS, ChosenPlanes, choose_planes, split_name
from hpa_sdk.fields.samples import Channel


def walk_colours(folder: str | Path) -> Iterator[Folder]:
    """List the folders ``red``, ``green``, ... in a folder that contain only planes of their colour."""
    with os.scandir(folder) as entries:
        places = [entry.path for entry in entries if entry.name.lower() in set(Channel) and entry.is_dir()]
    for place in sorted(places):
        for found in walk(place, recursive=False, on_error=raise_unlistable):
            colour = Folder(f"{Path(place).name}/", place, found.names)
            if holds_one_colour(colour):
                yield colour


def holds_one_colour(folder: Folder) -> bool:
    """Whether a folder has the name of a colour and contains only planes of it."""
    name = folder.prefix[:-1].rpartition("/")[2].lower()
    if name not in set(Channel):
        return False
    planes = [split_name(file)[1] for file in folder.names if file.lower().endswith(EXTENSIONS)]
    return bool(planes) and set(planes) <= {Channel(name), None}


def planes_by_colour(folders: Mapping[Channel, Sequence[Folder]]) -> Iterator[tuple[str, list[Path], ChosenPlanes]]:
    """Yield the fields whose planes are in one folder per colour: the name, the files, and how they were chosen."""
    some = next(iter(folders.values()))
    above = Path(some[0].path).parent
    for stem, listed in sorted(by_stem_of_colours(folders).items()):
        planes = {name: paths[0] for name, paths in listed.items()}
        chosen = choose_planes(list(planes), above / stem)
        extension = os.path.splitext(next(iter(planes)))[1]  # noqa: PTH122 - faster than a Path for each
        if twice := [path for paths in listed.values() if len(paths) > 1 for path in paths]:
            names = ", ".join(f"{path.parent.name}/{path.name}" for path in twice)
            problem = SampleError(
                f"the field has several files of one colour ({names})",
                where=above,
                remedy="Remove all but one of them, or move the others elsewhere.",
            )
            chosen = ChosenPlanes({}, problem=problem)
        files = []
        for channel in Channel:
            place = folders[channel][0].path if channel in folders else above / channel
            name = chosen.names.get(channel)
            files.append(Path(place, f"{stem}_{channel}{extension}") if name is None else planes[name])
        yield stem, files, chosen


def by_stem_of_colours(folders: Mapping[Channel, Sequence[Folder]]) -> dict[str, dict[str, list[Path]]]:
    """Group planes by the common part of their names. Each gets the name that it would have next to the others."""
    by_stem: defaultdict[str, dict[str, list[Path]]] = defaultdict(dict)
    for channel, folder in ((channel, folder) for channel, some in folders.items() for folder in some):
        for name in folder.names:
            stem, own, _ = split_name(name)
            extension = os.path.splitext(name)[1]  # noqa: PTH122
            if extension.lower() not in EXTENSIONS:
                continue
            stem = same_name(stem if own is not None else name.removesuffix(extension))
            by_stem[stem].setdefault(f"{stem}_{channel}{extension}", []).append(Path(folder.path, name))
    return by_stem
