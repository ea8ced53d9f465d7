"""Tells by a hash whether a field's answer would come out the same: same model, same settings, same planes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from hpa_sdk.onnx_file import file_sha256
from hpa_sdk.preprocessing import White
from hpa_sdk.samples import Sample

Comparison = Literal["time", "content"]
"""How a plane is known to be the same: by its size and time of change, or by its size and a hash of its content."""


@runtime_checkable
class StampedSource(Protocol):
    """A source of planes that knows without reading them whether they changed, as a remote archive does."""

    def stamp(self) -> str | None:
        """Give a text that is another one when a plane was changed; None where that can't be told now."""


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
    place = os.path.join(os.getcwd(), sample.files[0]) if sample.source is None else str(sample.source)  # noqa: PTH109, PTH118
    return _sha256([sample.id, place])


def fingerprint_of(sample: Sample, settings: str, comparison: Comparison) -> bytes | None:
    """Hash a run's settings and a field's planes, as they are now: 32 bytes.

    None where a plane can't be looked at: whether it is the same is not known then.

    Parameters
    ----------
    sample : Sample
        The field.
    settings : str
        From `settings_sha256`.
    comparison : str
        How planes are compared. A source of the kind `StampedSource` gives its own stamp.
    """
    if sample.source is not None and isinstance(sample.source, StampedSource):
        stamp = sample.source.stamp()
        return None if stamp is None else _sha256([settings, stamp])
    try:
        return _sha256([settings, *(f"{file.name}\0{_stamp(file, comparison)}" for file in sample.files)])
    except OSError:
        return None


def _stamp(file: Path, comparison: Comparison) -> str:
    told = os.stat(file)  # noqa: PTH116 - twice as fast as the Path's own
    # Only whether the time of change is the same counts, never which is later: clocks go back.
    return f"{told.st_size} {told.st_mtime_ns if comparison == 'time' else file_sha256(file)}"


def _sha256(parts: Iterable[str]) -> bytes:
    return hashlib.sha256("\0\0".join(parts).encode("utf-8", "surrogateescape")).digest()
