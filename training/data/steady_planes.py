"""Reads planes repeatedly without mixing two states of a field."""

from __future__ import annotations

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.samples import Sample
from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.preprocessing import Planes


class SteadyPlanes:
    """Reads the planes of fields as often as needed, and refuses a field that changed in between.

    It is thread-safe.
    """

    def __init__(self) -> None:
        self._stamps: dict[str, tuple[FileStamp, ...]] = {}

    def read(self, sample: Sample) -> Planes:
        """Read the planes of a field.

        Parameters
        ----------
        sample : Sample
            A field of one data set, in which each id occurs once.

        Raises
        ------
        PlaneError
            They can't be read, or have changed since the first read.
        """
        field = read_field(sample)
        stamps = tuple(file.stamp for file in field.files)
        for file, before, now in zip(field.files, self._stamps.setdefault(sample.id, stamps), stamps, strict=True):
            if before != now:
                raise PlaneError(
                    "the file was changed since the field was first read",
                    where=file.path,
                    remedy="Run again when nobody writes to it any more: results so far are of what it was.",
                )
        return field.planes
