"""Reads the planes of a result for its picture, and makes sure that they are those that were answered, or says so."""

from __future__ import annotations

from dataclasses import dataclass

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.samples import Sample
from hpa_sdk.live.answered_files import check_unchanged, resembles
from hpa_sdk.preprocessing import Planes
from hpa_sdk.report.finder import PlanesOfResult

LIKE = "found by name: same size and time as what was answered"
"""Caption of a picture of files that have the names, sizes and times of those that were answered, at another place."""

UNCHECKED = "found by name, not checked"
"""Caption of a picture of which nobody can say whether it is of what was answered."""

OTHER = f"{UNCHECKED}: size or time is not that of what was answered"
"""Caption of a picture of files that the user named, and that are no faithful copies of those that were answered."""


@dataclass(frozen=True, slots=True, eq=False)
class CheckedPlanes:
    """Planes, and how surely they are those that were answered.

    Attributes
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    caption : str
        What a reader has to know of the picture; empty where the files are those that were answered.
    """

    planes: Planes
    caption: str = ""


def read_checked(found: PlanesOfResult) -> CheckedPlanes:
    """Read the planes of a result: where its files lie, else where a field of its name lies.

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
    field = read_field(sample)
    check_unchanged(found.result, field.files)
    return CheckedPlanes(field.planes, "" if found.result.stamps else UNCHECKED)


def _read_copy(found: PlanesOfResult, sample: Sample) -> CheckedPlanes | None:
    """Read a faithful copy of files that are there no more as they were."""
    try:
        field = read_field(sample)
    except HpaError:
        return None  # the own files have a reason
    return CheckedPlanes(field.planes, LIKE) if resembles(found.result, field.files) else None


def _read_by_name(found: PlanesOfResult, sample: Sample | HpaError) -> CheckedPlanes:
    if isinstance(sample, HpaError):
        raise sample
    field = read_field(sample)
    if resembles(found.result, field.files):
        return CheckedPlanes(field.planes, LIKE)
    if not found.may_be_unchecked:
        raise found.refusal()
    return CheckedPlanes(field.planes, OTHER if found.result.stamps else UNCHECKED)
