"""Says by a hash whether a field's answer would come out the same: same model, same settings, same planes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, Self, runtime_checkable

from hpa_sdk.fields.samples import FieldPlanes, Sample
from hpa_sdk.files.file_state import FileState
from hpa_sdk.models.onnx_file import file_sha256
from hpa_sdk.preprocessing import White

Comparison = Literal["time", "content"]
"""How a plane is known to be the same: by its stamp (size, times, inode), or by its size and a hash of its content."""


@runtime_checkable
class StampedSource(Protocol):
    """A source of planes that knows without reading them whether they changed, as a remote archive does."""

    def stamp(self) -> str | None:
        """Give a text that is another one when a plane was changed; None where that can't be known now."""

    def bound_to(self, stamp: str) -> Self:
        """Give the same source; it fails where its stamp is another one when the planes were read."""

    def read(self) -> FieldPlanes:
        """Read the planes."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What an answer comes from: a run's settings and a field's planes.

    Attributes
    ----------
    value : bytes
        The hash of all, 32 bytes.
    files : tuple of FileState
        The files as they were when it was taken; empty for a source that gives its own stamp.
    by_time : bytes
        The hash as versions before took it: by size and time of change alone.
    """

    value: bytes
    files: tuple[FileState, ...]
    by_time: bytes

    def is_of(self, files: tuple[FileState, ...]) -> bool:
        """Whether these are the files as they were when it was taken; true for a source that gives its own stamp."""
        return not self.files or [file.stamp for file in self.files] == [file.stamp for file in files]


def settings_sha256(
    model_sha256: str,
    preprocessing: object,
    white: White | None,
    comparison: Comparison,
    runtime_options: Mapping[str, str],
) -> str:
    """Hash what all fields of a run have in common, but for thresholds: those are applied to the probabilities later.

    Parameters
    ----------
    model_sha256 : str
        SHA-256 of the model file, in hexadecimal.
    preprocessing : Preprocessing
        As the model's card has it.
    white : optional
        The white level of 16-bit planes.
    comparison : str
        How planes are compared.
    runtime_options : mapping of str to str
        What the runtime was asked for, such as another precision.

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    options = [f"{name}={value}" for name, value in sorted(runtime_options.items())]
    return _sha256([model_sha256, repr(preprocessing), repr(white), comparison, *options]).hex()


def place_of(sample: Sample) -> bytes:
    """Hash where a field lies and what it is called: 32 bytes."""
    # Two samples of one id in two folders are two fields.
    if sample.source is None:
        return _sha256([sample.id, str(sample.files[0].absolute())])
    return _sha256([sample.id, str(getattr(sample.source, "place", sample.source))])


def fingerprint_of(sample: Sample, settings: str, comparison: Comparison) -> tuple[Sample, Fingerprint | None]:
    """Hash a run's settings and a field's planes, as they are now.

    Parameters
    ----------
    sample : Sample
        The field.
    settings : str
        From `settings_sha256`.
    comparison : str
        How planes are compared. A source of the kind `StampedSource` gives its own stamp.

    Returns
    -------
    sample : Sample
        The field, bound to what it is now, where its source can be.
    fingerprint : Fingerprint or None
        None where a plane can't be looked at, or is being written: whether it is the same is not known then.
    """
    if isinstance(sample.source, StampedSource):
        stamp = sample.source.stamp()
        if stamp is None:
            return sample, None
        value = _sha256([settings, stamp])
        return replace(sample, source=sample.source.bound_to(stamp)), Fingerprint(value, (), value)
    # Of a stack, how it is read decides too: names of channels, z, pixel size.
    settings += str(getattr(sample.source, "settings", ""))
    try:
        files = tuple(map(FileState.of, sample.files))
        contents = [file_sha256(Path(file.path)) for file in files] if comparison == "content" else None
        # A hash takes a while: of a file that was changed meanwhile it is of nothing that ever was.
        if contents and files != tuple(map(FileState.of, sample.files)):
            return sample, None
    except OSError:
        return sample, None
    return sample, _of_files(settings, files, contents)


def _of_files(settings: str, files: tuple[FileState, ...], contents: list[str] | None) -> Fingerprint:
    names = [os.path.basename(file.path) for file in files]  # noqa: PTH119 - no Path for each
    stamps = [file.stamp for file in files]
    if contents is not None:
        parts = [f"{stamp.size} {content}" for stamp, content in zip(stamps, contents, strict=True)]
        value = _hash_parts(settings, names, parts)
        return Fingerprint(value, files, value)
    # Only whether a time is the same counts, never which is later: clocks go back.
    by_stamp = [f"{stamp.size} {stamp.modified} {stamp.inode} {stamp.changed}" for stamp in stamps]
    by_time = [f"{stamp.size} {stamp.modified}" for stamp in stamps]
    return Fingerprint(_hash_parts(settings, names, by_stamp), files, _hash_parts(settings, names, by_time))


def _hash_parts(settings: str, names: list[str], parts: list[str]) -> bytes:
    return _sha256([settings, *(f"{name}\0{part}" for name, part in zip(names, parts, strict=True))])


def _sha256(parts: Iterable[str]) -> bytes:
    return hashlib.sha256("\0\0".join(parts).encode("utf-8", "surrogateescape")).digest()
