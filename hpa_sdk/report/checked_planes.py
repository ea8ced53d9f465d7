"""Reads the planes of a result for its picture, and checks whether they are those that were answered."""

from __future__ import annotations

from dataclasses import dataclass

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.samples import Sample
from hpa_sdk.files.file_state import FileState
from hpa_sdk.live.answered_files import check_reading, check_unchanged, resembles
from hpa_sdk.preprocessing import Planes
from hpa_sdk.report.finder import PlanesOfResult

LIKE = "found by name: same size and time as what was answered"
"""Caption of a picture of files at another path with the names, sizes and times of those that were answered."""

UNCHECKED = "found by name, not checked"
"""Caption of a picture that can't be verified to show what was answered."""

OTHER = f"{UNCHECKED}: size or time is not that of what was answered"
"""Caption of a picture of files that the user named, and that differ from those that were answered."""


@dataclass(frozen=True, slots=True, eq=False)
class CheckedPlanes:
    """Planes, and whether they are verified to be those that were answered.

    Attributes
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    caption : str
        What a reader has to know of the picture; empty if the files are those that were answered.
    files : tuple of FileState
        The files that they were read from, with their state at that time.
    notes : tuple of str
        What was done to them when they were read.
    """

    planes: Planes
    caption: str = ""
    files: tuple[FileState, ...] = ()
    notes: tuple[str, ...] = ()


def read_checked(found: PlanesOfResult) -> CheckedPlanes:
    """Read the planes of a result: from its own files, or else from a field of its name.

    Raises
    ------
    HpaError
        There are none, they can't be read, or they are not those that were answered.
    """
    if found.own is None:
        return _read_by_name(found, found.by_name)
    try:
        return _read_own(found, found.own)
    except HpaError:
        copy = None if isinstance(found.by_name, HpaError) else _read_copy(found, found.by_name)
        if copy is None:
            raise
        return copy


def _read_own(found: PlanesOfResult, sample: Sample) -> CheckedPlanes:
    field = read_field(sample, found.result.read_channels)
    check_unchanged(found.result, field)
    return CheckedPlanes(field.planes, "" if found.result.stamps else UNCHECKED, field.files, field.notes)


def _read_copy(found: PlanesOfResult, sample: Sample) -> CheckedPlanes | None:
    """Read a faithful copy of files that have changed or are gone."""
    try:
        field = read_field(sample, found.result.read_channels)
    except HpaError:
        return None  # the reason of the own files is reported
    if not resembles(found.result, field.files):
        return None
    check_reading(found.result, field)
    return CheckedPlanes(field.planes, LIKE, field.files, field.notes)


def _read_by_name(found: PlanesOfResult, sample: Sample | HpaError) -> CheckedPlanes:
    if isinstance(sample, HpaError):
        raise sample
    field = read_field(sample, found.result.read_channels)
    if resembles(found.result, field.files):
        check_reading(found.result, field)
        return CheckedPlanes(field.planes, LIKE, field.files, field.notes)
    if not found.may_be_unchecked:
        raise found.refusal()
    return CheckedPlanes(field.planes, OTHER if found.result.stamps else UNCHECKED, field.files, field.notes)
