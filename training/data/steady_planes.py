"""Reads planes more than once without mixing two states of a field."""

from __future__ import annotations

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.samples import Sample
from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.preprocessing import Planes


class SteadyPlanes:
    """Reads the planes of fields as often as they are needed, and refuses a field that has changed in between.

    Threads may read at the same time.
    """

    def __init__(self) -> None:
        self._stamps: dict[str, tuple[FileStamp, ...]] = {}

    def read(self, sample: Sample) -> Planes:
        """Read the planes of a field.

        Parameters
        ----------
        sample : Sample
            A field of one data set, in which each id is there once.

        Raises
        ------
        PlaneError
            They can't be read, or are not those that were read the first time.
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
