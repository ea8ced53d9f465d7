"""Finds fields that were used to make a file, also as copies, so that the file is not judged on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from hpa_sdk.fields.samples import Sample
from hpa_sdk.models.onnx_file import file_sha256


class UsedFields:
    """A set of used fields; `in` finds a field by its files or by their content.

    Parameters
    ----------
    samples : iterable of Sample
        The fields.
    """

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._files: set[tuple[Path, ...]] = set()
        self._by_sizes: dict[tuple[int, ...], list[Sample]] = defaultdict(list)
        self._hashes: dict[tuple[Path, ...], tuple[str, ...]] = {}
        for sample in samples:
            self._files.add(_resolved(sample))
            sizes = _sizes(sample)
            if sizes is not None:
                self._by_sizes[sizes].append(sample)

    def __contains__(self, sample: Sample) -> bool:
        if _resolved(sample) in self._files:
            return True
        sizes = _sizes(sample)
        # Only files of equal sizes are read; among compressed pictures these are few.
        alike = [] if sizes is None else self._by_sizes.get(sizes, [])
        return any(self._hash(sample) == self._hash(taken) for taken in alike)

    def _hash(self, sample: Sample) -> tuple[str, ...]:
        if sample.files not in self._hashes:
            self._hashes[sample.files] = tuple(map(file_sha256, sample.files))
        return self._hashes[sample.files]


def _resolved(sample: Sample) -> tuple[Path, ...]:
    return tuple(path.resolve() for path in sample.files)


def _sizes(sample: Sample) -> tuple[int, ...] | None:
    try:
        return tuple(path.stat().st_size for path in sample.files)
    except OSError:  # the reader of the field reports it
        return None
