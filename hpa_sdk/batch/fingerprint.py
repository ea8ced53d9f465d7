"""Identifies by a hash what a field's answer is computed from: the model, the settings and the planes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, Self, runtime_checkable

from hpa_sdk.fields.samples import Channel, FieldPlanes, Sample
from hpa_sdk.files.file_state import FileState
from hpa_sdk.labels import HPA_2018
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.network_form import Tensors
from hpa_sdk.models.onnx_file import file_sha256
from hpa_sdk.preprocessing import Preprocessing, White
from hpa_sdk.quality.limits import shipped_sha256
from hpa_sdk.results.result import Answering

Comparison = Literal["time", "content"]
"""How planes are compared: by their stamp (size, times, inode), or by size and a hash of their content."""


@runtime_checkable
class StampedSource(Protocol):
    """A source of planes that knows without reading them whether they changed, such as a remote archive."""

    def stamp(self) -> str | None:
        """Return a text that changes when a plane changes; None if it is not available now."""

    def bound_to(self, stamp: str) -> Self:
        """Return the same source, which fails if its stamp has changed when the planes are read."""

    def read(self) -> FieldPlanes:
        """Read the planes."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What an answer is computed from: a run's settings and a field's planes.

    Attributes
    ----------
    value : bytes
        The hash of both, 32 bytes.
    files : tuple of FileState
        The files when it was computed; empty for a source that has its own stamp.
    by_time : bytes
        The hash as earlier versions computed it: by size and modification time only.
    """

    value: bytes
    files: tuple[FileState, ...]
    by_time: bytes

    def is_of(self, files: tuple[FileState, ...]) -> bool:
        """Whether these files are unchanged since it was computed; true for a source that has its own stamp."""
        return not self.files or [file.stamp for file in self.files] == [file.stamp for file in files]


class RunSettings(Answering, Protocol):
    """What an answer depends on beside the planes: see `hpa_sdk.Predictor`."""

    card: ModelCard
    white: White | None
    runtime_options: Mapping[str, str]
    calibrated: bool


def settings_sha256(engine: RunSettings, comparison: Comparison) -> str:
    """Hash what all fields of a run share, except thresholds: those are applied to the probabilities later.

    Parameters
    ----------
    engine : Predictor, or a similar engine
        Its models and settings count.
    comparison : str
        How planes are compared.

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    options = [f"{name}={value}" for name, value in sorted(engine.runtime_options.items())]
    options += [f"views={engine.views}"] * (engine.views > 1)
    for model, card in engine.others:
        options += ["with", model.sha256, *_form_of(card)]
        options += [f"calibrated={card.calibration}"] * engine.calibrated
    options += [f"calibrated={engine.card.calibration}"] * engine.calibrated
    return _sha256([engine.model.sha256, *_form_of(engine.card), repr(engine.white), comparison, *options]).hex()


def _form_of(card: ModelCard) -> list[str]:
    """Describe what a card says of the input and outputs; in the words of earlier versions if these can express it."""
    form, study = card.preprocessing, Preprocessing()
    names = ("channels", "blend", "size", "interpolation", "scale", "place")
    texts = [f"Preprocessing({', '.join(f'{name}={getattr(form, name)!r}' for name in names)})"]
    later = (form.layout, form.mean, form.deviation, card.tensors, card.label_scheme)
    if later != (study.layout, study.mean, study.deviation, Tensors(), HPA_2018):
        texts.append(repr(later))
    if form.normalization is not None:
        texts.append(repr(form.normalization))
    # The warnings depend on these.
    if card.unit != "field":
        texts.append(f"unit {card.unit}")
    texts.append(f"quality {shipped_sha256()}")
    if card.reference is not None:
        texts.append(repr(card.reference))
    return texts


def place_of(sample: Sample) -> bytes:
    """Hash the location and the id of a field: 32 bytes."""
    # The same id in two folders means two fields.
    if sample.source is None:
        return _sha256([sample.id, str(sample.files[0].absolute())])
    return _sha256([sample.id, str(getattr(sample.source, "place", sample.source))])


def fingerprint_of(
    sample: Sample, settings: str, comparison: Comparison, channels: Collection[str] = tuple(Channel)
) -> tuple[Sample, Fingerprint | None]:
    """Hash a run's settings and the present state of a field's planes.

    Parameters
    ----------
    sample : Sample
        The field.
    settings : str
        From `settings_sha256`.
    comparison : str
        How planes are compared. A `StampedSource` has its own stamp.
    channels : collection of str
        The channels that the model takes. Planes of others do not count.

    Returns
    -------
    sample : Sample
        The field, bound to its present state if its source supports that.
    fingerprint : Fingerprint or None
        None if a plane can't be read or is being written: it is not known then whether it has changed.
    """
    if isinstance(sample.source, StampedSource):
        stamp = sample.source.stamp()
        if stamp is None:
            return sample, None
        value = _sha256([settings, stamp])
        return replace(sample, source=sample.source.bound_to(stamp)), Fingerprint(value, (), value)
    # For a stack, the reading options count too: names of channels, z, pixel size.
    settings += str(getattr(sample.source, "settings", ""))
    read = sample.files_of(channels)
    try:
        files = tuple(map(FileState.of, read))
        contents = [file_sha256(Path(file.path)) for file in files] if comparison == "content" else None
        # Hashing takes time: if a file changed meanwhile, the hash matches no state of it.
        if contents and files != tuple(map(FileState.of, read)):
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
    # Times are compared for equality only, never for order: clocks can be set back.
    by_stamp = [f"{stamp.size} {stamp.modified} {stamp.inode} {stamp.changed}" for stamp in stamps]
    by_time = [f"{stamp.size} {stamp.modified}" for stamp in stamps]
    return Fingerprint(_hash_parts(settings, names, by_stamp), files, _hash_parts(settings, names, by_time))


def _hash_parts(settings: str, names: list[str], parts: list[str]) -> bytes:
    return _sha256([settings, *(f"{name}\0{part}" for name, part in zip(names, parts, strict=True))])


def _sha256(parts: Iterable[str]) -> bytes:
    return hashlib.sha256("\0\0".join(parts).encode("utf-8", "surrogateescape")).digest()
