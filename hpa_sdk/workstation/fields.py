"""Finds the fields in a folder that a microscope writes to, as samples that a predictor takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hpa_sdk.errors import HpaError
from hpa_sdk.samples import Sample
from hpa_sdk.workstation.field_source import FieldSource
from hpa_sdk.workstation.file_group import UNSAFE, FileGroup, group_files
from hpa_sdk.workstation.scenes import open_scenes
from hpa_sdk.workstation.station import Station


def find_fields(station: Station, folder: Path | None = None) -> Iterator[Sample]:
    """Find the fields of a folder, sorted by id.

    A field that can't be read is found all the same, and fails when it is read.

    Parameters
    ----------
    station : Station
        What the microscope writes.
    folder : pathlib.Path, optional
        Default: the watched folder.

    Yields
    ------
    Sample
        With a source, so that `hpa_sdk.planes.read_planes` and a predictor take it.

    Raises
    ------
    SampleError
        The folder can't be listed.
    """
    for group in group_files(station, folder or station.watch):
        yield from samples_of(station, group)


def samples_of(station: Station, group: FileGroup) -> list[Sample]:
    """Give the samples in a group of files: one, or in a stack of several scenes one each, ``#1``, ``#2``, ...

    A stack is opened to count its scenes. One that can't be opened is one sample, and fails when it is read.
    """
    name = UNSAFE.sub("_", group.id)
    scenes = _scenes_of(group)
    return [
        Sample(name if len(scenes) == 1 else f"{name}#{at}", group.files, FieldSource(station, group, scene))
        for at, scene in enumerate(scenes, 1)
    ]


def _scenes_of(group: FileGroup) -> list[str | None]:
    if not group.is_stack:
        return [None]
    try:
        with open_scenes(group.files[0]) as scenes:
            return list(scenes)
    except HpaError:
        return [None]
