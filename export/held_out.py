"""Finds fields that were used to make a file, also as copies, so that the file is not judged on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from hpa_sdk.fields.samples import Channel, Sample
from hpa_sdk.models.onnx_file import file_sha256


class UsedFields:
    """A set of used fields; `in` finds a field by its files or by their content.

    Parameters
    ----------
    samples : iterable of Sample
        The fields.
    channels : collection of str
        The planes that count. Fields that differ only in others are the same to the network.
    """

    def __init__(self, samples: Iterable[Sample], channels: Collection[str]) -> None:
        self._channels = channels
        self._files: set[tuple[Path, ...]] = set()
        self._by_sizes: dict[tuple[int, ...], list[tuple[Path, ...]]] = defaultdict(list)
        self._hashes: dict[tuple[Path, ...], tuple[str, ...]] = {}
        for sample in samples:
            files = self._taken(sample)
            self._files.add(_resolved(files))
            sizes = _sizes(files)
            if sizes is not None:
                self._by_sizes[sizes].append(files)

    def __contains__(self, sample: Sample) -> bool:
        files = self._taken(sample)
        if _resolved(files) in self._files:
            return True
        sizes = _sizes(files)
        # Only files of equal sizes are read; among compressed pictures these are few.
        alike = [] if sizes is None else self._by_sizes.get(sizes, [])
        return any(self._hash(files) == self._hash(taken) for taken in alike)

    def _taken(self, sample: Sample) -> tuple[Path, ...]:
        if sample.source is not None:
            return sample.files
        return tuple(file for channel, file in zip(Channel, sample.files, strict=True) if channel in self._channels)

    def _hash(self, files: tuple[Path, ...]) -> tuple[str, ...]:
        if files not in self._hashes:
            self._hashes[files] = tuple(map(file_sha256, files))
        return self._hashes[files]


def _resolved(files: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(path.resolve() for path in files)


def _sizes(files: tuple[Path, ...]) -> tuple[int, ...] | None:
    try:
        return tuple(path.stat().st_size for path in files)
    except OSError:  # the reader of the field reports it
        return None
