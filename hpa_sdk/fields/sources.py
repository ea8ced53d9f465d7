"""Turns whatever can be predicted into fields, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.rules import FieldRules, Trained
from hpa_sdk.fields.samples import FieldPlanes, Sample
from hpa_sdk.prediction import Failure
from hpa_sdk.preprocessing import Planes

Source = str | os.PathLike[str] | Sample | Planes
"""What can be predicted: a path in any form of `find_samples`, a sample, or an array of shape (4, H, W)."""

_ONE_FIELD = 3  # dimensions of (4, H, W)


@dataclass(frozen=True, slots=True)
class FoundField:
    """A field of view that can be read.

    Attributes
    ----------
    id : str
        The sample's id.
    source : Sample or numpy.ndarray
        Its files, or its planes.
    """

    id: str
    source: Sample | Planes

    @property
    def where(self) -> Path | str:
        """Where it lies, for messages."""
        return self.source.files[0] if isinstance(self.source, Sample) else f"array {self.id}"

    def read(self) -> FieldPlanes:
        """Read its planes.

        Raises
        ------
        PlaneError
            As for `read_field`.
        """
        return read_field(self.source) if isinstance(self.source, Sample) else FieldPlanes(self.source)


def find_fields(
    sources: Source | Iterable[Source],
    *,
    recursive: bool,
    root: str | os.PathLike[str] | None,
    rules: FieldRules | None = None,
    trained: Trained | None = None,
) -> Iterator[FoundField | Failure]:
    """Find the fields that sources name, lazily and in order.

    What is found stays what it is until it is read, however late: relative paths start at the folder that was the
    working one at the beginning, and arrays are copied, since a camera writes its next field into the same memory.

    Parameters
    ----------
    sources : Source or iterable of Source
        One source or several; a folder or table stands for all its samples.
    recursive : bool
        Search the folders below a folder too.
    root : str or os.PathLike, optional
        Folder in which the ids of a table are looked for. Default: as for `find_samples`.
    rules, trained : optional
        As for `find_samples`.

    Yields
    ------
    FoundField or Failure
        A failure where a path leads to no sample. An array has its position among the sources as its id.
    """
    if isinstance(sources, (str, os.PathLike, Sample)) or (
        isinstance(sources, np.ndarray) and sources.ndim == _ONE_FIELD
    ):
        sources = [sources]
    here = _working_folder()
    for position, source in enumerate(sources):
        if isinstance(source, Sample):
            yield FoundField(source.id, _placed(source, here))
        elif isinstance(source, (str, os.PathLike)):
            try:
                beside = None if root is None else here / root
                for sample in find_samples(
                    here / source, recursive=recursive, root=beside, rules=rules, trained=trained
                ):
                    yield FoundField(sample.id, sample)
            except HpaError as error:
                yield Failure(os.fspath(source), error)
        else:
            # What is no array is refused when its turn comes.
            yield FoundField(str(position), source.copy() if isinstance(source, np.ndarray) else source)


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it was removed; absolute paths need none
        return Path()


def _placed(sample: Sample, here: Path) -> Sample:
    """Make the files of a sample absolute; those of a source are its own affair, and can be addresses."""
    if sample.source is not None or all(file.is_absolute() for file in sample.files):
        return sample
    return replace(sample, files=tuple(here / file for file in sample.files))
