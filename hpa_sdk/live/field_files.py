"""Finds the field of some files, by the rules of the station or, if these do not match, in the common formats."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from hpa_sdk.errors import SampleError
from hpa_sdk.fields.file_group import FileGroup, group_names
from hpa_sdk.fields.rules import ChannelNames, FieldRules
from hpa_sdk.fields.samples import Channel, Sample
from hpa_sdk.fields.stack_samples import samples_of, scene_of
from hpa_sdk.results.result import Result


def field_in(station: FieldRules, root: Path, names: Sequence[str]) -> tuple[FieldRules, FileGroup]:
    """Return the files of one field as a group, and the rules that they match.

    Parameters
    ----------
    station : FieldRules
        The rules. Files that don't match them can still be one stack, or ``<id>_red``, ``_green``, ``_blue`` and
        ``_yellow``.
    root : pathlib.Path
        A folder.
    names : sequence of str
        The files below it, with slashes, as in ``"sub/a_red.png"``.

    Returns
    -------
    rules : FieldRules
        Those that the files match.
    group : FileGroup
        All of the files.

    Raises
    ------
    SampleError
        The files are not those of one field.
    """
    fitting = [(rules, group) for rules in _rules(station) if (group := _only_group(rules, root, names))]
    if fitting:
        return next((pair for pair in fitting if pair[1].is_complete(pair[0])), fitting[0])
    raise SampleError(
        f"these files are not those of one field: {', '.join(name.rpartition('/')[2] for name in names)}",
        remedy="Give one stack, or four planes named <id>_red, <id>_green, <id>_blue and <id>_yellow"
        " (.png, .tif or .jpg).",
    )


def sample_of(result: Result, station: FieldRules, roots: Sequence[Path]) -> Sample:
    """Find the field of a result again.

    Parameters
    ----------
    result : Result
        The result.
    station : FieldRules
        The rules by which it was read.
    roots : sequence of pathlib.Path
        The folders that it may be in; nothing outside them is ever opened.

    Raises
    ------
    SampleError
        Its files are elsewhere, or are not a field any more.
    """
    files = [os.path.realpath(file) for file in result.files]
    for root in roots:
        folder = os.path.realpath(root)
        if files and all(file.startswith(folder + os.sep) for file in files):
            names = [os.path.relpath(file, folder).replace(os.sep, "/") for file in files]
            # A stack comes first, followed by the further files that it was read from.
            own = names[:1] if _is_stack(station, Path(folder), names[0]) else names
            return _scene(samples_of(*field_in(station, Path(folder), own)), result)
    raise SampleError(
        "the files of this field don't lie in a folder that this page may show",
        remedy="Look at them with another program.",
    )


def _scene(samples: list[Sample], result: Result) -> Sample:
    sample = scene_of(samples, result.id)
    if sample is None:
        raise SampleError("the file has no such scene any more", where=result.files[0], remedy="Predict it again.")
    return sample


def _only_group(rules: FieldRules, root: Path, names: Sequence[str]) -> FileGroup | None:
    # Files of channels that the model does not take belong to the field too.
    groups = group_names(rules.reading(tuple(Channel)), root, names)
    return groups[0] if len(groups) == 1 and len(groups[0].files) == len(names) else None


def _is_stack(station: FieldRules, root: Path, name: str) -> bool:
    groups = (group for rules in _rules(station) for group in group_names(rules, root, [name]))
    return next((group.is_stack for group in groups), False)


def _rules(station: FieldRules) -> Iterator[FieldRules]:
    yield station
    yield _with_pattern(station, None)
    yield msgspec.structs.replace(_with_pattern(station, "hpa"), channels=ChannelNames())


def _with_pattern(station: FieldRules, pattern: str | None) -> FieldRules:
    return msgspec.structs.replace(station, files=msgspec.structs.replace(station.files, pattern=pattern))
