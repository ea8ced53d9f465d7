"""Finds the fields in a folder that a microscope writes to, as samples for a predictor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.channel_stack import Scene
from hpa_sdk.fields.field_source import FieldSource
from hpa_sdk.fields.file_group import UNSAFE, FileGroup, group_files
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.samples import Sample
from hpa_sdk.fields.scenes import TIFF, extension_of, open_scenes
from hpa_sdk.fields.tiff_place import PartError
from hpa_sdk.files.file_state import FileState, escaped


def find_fields(rules: FieldRules, folder: Path) -> Iterator[Sample]:
    """Find the fields of a folder, sorted by id.

    An unreadable field is included, and fails when it is read.

    Parameters
    ----------
    rules : FieldRules
        The files that the microscope writes.
    folder : pathlib.Path
        The folder to search.

    Yields
    ------
    Sample
        With a source, so that `hpa_sdk.fields.reading.read_planes` and a predictor accept it.

    Raises
    ------
    SampleError
        The folder can't be listed.
    """
    for group in group_files(rules, folder):
        yield from fields_of(rules, group)


def fields_of(rules: FieldRules, group: FileGroup) -> list[Sample]:
    """Return the samples in a group of files, like `samples_of`, or none for a part of another file's field."""
    try:
        return samples_of(rules, group)
    except PartError:
        return []


def samples_of(rules: FieldRules, group: FileGroup) -> list[Sample]:
    """Return the samples in a group of files: one, or one per scene in a stack of several scenes.

    The id of a scene ends with ``#1``, ``#2``, ..., or for a field of a plate with its well and field, ``#A/1/0``. So
    a scene has the same id whatever else is in the file. A stack is opened to list its scenes. A stack that can't be
    opened is one sample, and fails when it is read.

    Raises
    ------
    PartError
        All planes of the file belong to the field of another file.
    """
    group = group.read_by(rules)
    name = UNSAFE.sub("_", group.id)
    scenes = _scenes_of(group)
    return [
        Sample(name + suffix, (*group.files, *further), FieldSource(rules, group, scene))
        for (scene, further), suffix in zip(scenes.items(), _suffixes([*scenes]), strict=True)
    ]


def scene_of(samples: Sequence[Sample], name: str) -> Sample | None:
    """Find the sample with a given id among those of one group of files; None if it does not exist any more.

    Parameters
    ----------
    samples : sequence of Sample
        The output of `samples_of`.
    name : str
        The id in a result, made from any folder.
    """
    if len(samples) == 1 and not _group(samples[0]).is_stack:
        return samples[0]
    for wanted in (name, _HASH.sub("", name)):
        for sample in samples:
            stem = UNSAFE.sub("_", _group(sample).id)
            tail = escaped(stem.rpartition("/")[2] + sample.id.removeprefix(stem))
            if wanted == tail or wanted.endswith(f"/{tail}"):
                return sample
    return None


def scene_part(name: str, files: Iterable[FileState]) -> str:
    """Return what tells a field from others in the same files, by its id: what stands after ``#``; empty if nothing."""
    _, sign, scene = name.rpartition("#")
    # The name of a file or folder can have the sign too.
    return scene if sign and not any(name in Path(file.path).as_posix() for file in files) else ""


_HASH = re.compile(r"-[0-9a-f]{12}$")  # a hot folder adds this to ids that would otherwise be equal


def _group(sample: Sample) -> FileGroup:
    return cast("FieldSource", sample.source).group


def _suffixes(scenes: Sequence[str | None]) -> list[str]:
    suffixes: list[str] = []
    for scene in scenes:
        label = _label(scene or "", alone=len(scenes) == 1)
        while label and f"#{label}" in suffixes:
            label += "_"
        suffixes.append(f"#{label}" if label else "")
    return suffixes


def _label(scene: str, *, alone: bool) -> str:
    if scene.isdecimal():
        return "" if alone else str(int(scene) + 1)
    # The names of wells in a plate must not lead to another folder.
    parts = [UNSAFE.sub("_", part).replace("#", "_") for part in scene.split("/")]
    return "/".join(parts) if scene else ""


def _scenes_of(group: FileGroup) -> dict[str | None, tuple[Path, ...]]:
    """List the scenes of a group, each with the additional files that it is read from.

    Raises
    ------
    PartError
        The file is only a part of another file's field.
    """
    if not group.is_stack:
        return {None: ()}
    (path,) = group.files
    try:
        with open_scenes(path) as scenes:
            # Fields in other formats never have several files, and a plate has hundreds of scenes.
            spread = extension_of(path.name) in TIFF
            return {name: _further_files(scene) if spread else () for name, scene in scenes.items()}
    except PartError:
        raise
    except HpaError:
        return {None: ()}


def _further_files(scene: Scene) -> tuple[Path, ...]:
    try:
        return tuple(dict.fromkeys(Path(file.path) for channel in scene() for file in channel.further))
    except PartError:
        raise
    except HpaError:  # it is raised again when the scene is read
        return ()
