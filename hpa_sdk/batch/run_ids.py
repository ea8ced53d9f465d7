"""Gives every field of a run a unique id, so that results of different fields are never confused."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from dataclasses import replace

from hpa_sdk.fields.samples import Sample

_Location = tuple[str, str]
"""Folder of a field's files, with slashes, and their extension."""


class RunIds:
    """The ids of a run: first all of its fields are added, then each is taken under its id.

    Memory grows with the number of fields that are added, by some hundred bytes each.
    """

    def __init__(self) -> None:
        self._first: dict[str, _Location] = {}
        self._shared: defaultdict[str, dict[_Location, None]] = defaultdict(dict)
        self._taken: set[bytes] = set()
        self._given: set[str] = set()

    def add(self, sample: Sample) -> None:
        """Add a field that the run will take."""
        location = _location_of(sample)
        first = self._first.setdefault(sample.id, location)
        if first != location:
            self._shared[sample.id] |= {first: None, location: None}

    def take(self, sample: Sample) -> Sample | None:
        """Return a field with its id in this run; None if it was already taken."""
        if not self._first:
            return sample
        own = hashlib.blake2b(
            b"\0".join(map(os.fsencode, (sample.id, *map(str, sample.files)))), digest_size=16
        ).digest()
        if own in self._taken:
            return None
        self._taken.add(own)
        locations = self._shared.get(sample.id)
        if locations is None:
            return sample
        name = self._unique_id(sample, list(locations))
        if name in self._given:  # another field's folders can end alike
            folder, extension = _location_of(sample)
            name = f"{folder}/{sample.id.rpartition('/')[2]}{extension}"
        self._given.add(name)
        return replace(sample, id=name)

    def _unique_id(self, sample: Sample, locations: list[_Location]) -> str:
        """Prefix the name with the part of the folder that makes it unique, or append the extension."""
        folder, extension = _location_of(sample)
        stem = sample.id.rpartition("/")[2]
        if sum(folder == other for other, _ in locations) > 1:
            stem += extension
        parts, folders = folder.split("/"), {other for other, _ in locations}
        for count in range(len(folders) > 1, len(parts) + 1):
            name = "/".join([*parts[len(parts) - count :], stem])
            ends = {tuple(other.split("/")[-count:]) for other in folders}
            if len(ends) == len(folders) and name not in self._first:
                return name
        return "/".join([*parts, stem])


def _location_of(sample: Sample) -> _Location:
    # Faster than a Path for each of a hundred thousand; slashes in an archive's address are preserved.
    folder, name = os.path.split(sample.files[0])
    return folder.replace(os.sep, "/"), os.path.splitext(name)[1]  # noqa: PTH122
