"""Converts all kinds of input for a prediction to fields, one after the other."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.samples import Channel, FieldPlanes, Sample
from hpa_sdk.prediction import Failure
from hpa_sdk.preprocessing import Planes

Source = str | os.PathLike[str] | Sample | Planes
"""Input for a prediction: a path in any form of `find_samples`, a sample, or an array of shape (4, H, W)."""

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
        """The path of the field, for messages."""
        return self.source.files[0] if isinstance(self.source, Sample) else f"array {self.id}"

    def read(self, channels: Collection[str] = tuple(Channel)) -> FieldPlanes:
        """Read its planes.

        Parameters
        ----------
        channels : collection of str
            As for `read_field`.

        Raises
        ------
        PlaneError
            As for `read_field`.
        """
        return read_field(self.source, channels) if isinstance(self.source, Sample) else FieldPlanes(self.source)


def find_fields(
    sources: Source | Iterable[Source],
    *,
    recursive: bool,
    root: str | os.PathLike[str] | None,
    rules: FieldRules | None = None,
    stack_rules: FieldRules | None = None,
) -> Iterator[FoundField | Failure]:
    """Find the fields of the sources, lazily and in order.

    Later changes have no effect until a field is read: relative paths refer to the working folder at the start, and
    arrays are copied, because a camera writes its next field to the same memory.

    Parameters
    ----------
    sources : Source or iterable of Source
        One source or several. A folder or table stands for all its samples.
    recursive : bool
        Also search the folders below a folder.
    root : str or os.PathLike, optional
        Folder that contains the planes of a table's ids. Default: as for `find_samples`.
    rules, stack_rules : optional
        As for `find_samples`.

    Yields
    ------
    FoundField or Failure
        A failure if a path leads to no sample. The id of an array is its position among the sources.
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
                    here / source, recursive=recursive, root=beside, rules=rules, stack_rules=stack_rules
                ):
                    yield FoundField(sample.id, sample)
            except HpaError as error:
                yield Failure(os.fspath(source), error)
        else:
            # An item that is not an array is refused when its turn comes.
            yield FoundField(str(position), source.copy() if isinstance(source, np.ndarray) else source)


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it was removed. Absolute paths do not need it
        return Path()


def _placed(sample: Sample, here: Path) -> Sample:
    """Make the files of a sample absolute. Those of a source are not changed, because they can be addresses."""
    if sample.source is not None or all(file.is_absolute() for file in sample.files):
        return sample
    return replace(sample, files=tuple(here / file for file in sample.files))
