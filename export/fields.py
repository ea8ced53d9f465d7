"""Reads the fields that a variant is calibrated on and judged by, with their labels where a table tells them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import TableError
from hpa_sdk.labels import Label
from hpa_sdk.planes import read_planes
from hpa_sdk.preprocessing import Image, Preprocessing, White
from hpa_sdk.samples import Sample, find_samples
from hpa_sdk.tables import parse_labels, read_columns

LEAST_FIELDS = 32
"""Fewest fields that ranges of activations, or a share of equal label sets, can rest on."""

_SEED = 0


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields of one data set.

    Attributes
    ----------
    name : str
        What the data is called in cards.
    samples : tuple of Sample
        The fields.
    targets : numpy.ndarray or None
        bool of shape (fields, 28): whether the field has the class; None where nothing tells.
    white : optional
        White level of 16-bit planes, as for `hpa_sdk.preprocessing.Preprocessing.white_levels`.
    """

    name: str
    samples: tuple[Sample, ...]
    targets: npt.NDArray[np.bool_] | None
    white: White | None = None

    def take(self, rows: Sequence[int]) -> Fields:
        """Give some of the fields, in the order of `rows`."""
        targets = None if self.targets is None else self.targets[list(rows)]
        return replace(self, samples=tuple(self.samples[row] for row in rows), targets=targets)

    def first(self, count: int) -> Fields:
        """Give the first fields, or all if there are fewer."""
        return self.take(range(min(count, len(self.samples))))

    def without(self, *others: Fields) -> Fields:
        """Give the fields that are in none of the others, told by their files, however their paths are spelled."""
        taken = {_resolved(sample) for other in others for sample in other.samples}
        return self.take([row for row, sample in enumerate(self.samples) if _resolved(sample) not in taken])

    def images(self, preprocessing: Preprocessing) -> Iterator[Image]:
        """Read the fields, one after the other, as the images that a network takes.

        Raises
        ------
        SampleError, PlaneError
            A field can't be read, or has 16 bits and no white level is known.
        """
        for sample in self.samples:
            yield preprocessing(read_planes(sample), white=self.white, where=sample.files[0])


def read_fields(data: Path, *, least: int, white: White | None = None) -> Fields:
    """Read fields in an order that is the same each time but has nothing to do with the table's.

    So a table that is sorted by class or plate is parted into parts that are alike.

    Parameters
    ----------
    data : pathlib.Path
        A table in the Kaggle form or the Human Protein Atlas's own, a folder with ``train.csv``, or one of planes.
    least : int
        Fewest fields to accept.
    white : optional
        White level of 16-bit planes.

    Raises
    ------
    TableError
        There are fewer fields, the table can't be read, or a label is none of the 28.
    SampleError
        There is no field.
    """
    source = table_or_folder(data)
    listed = source.is_file()
    samples = tuple(find_samples(source))
    if len(samples) < least:
        raise TableError(
            f"there are {len(samples)} fields, and {least} are needed",
            where=data,
            remedy="Name a folder or table with more fields of the kind that the network was fitted on.",
        )
    targets = _read_targets(source) if listed and _has_targets(source) else None
    name = (source.parent if listed else source).resolve().name
    return Fields(name, samples, targets, white).take(np.random.default_rng(_SEED).permutation(len(samples)).tolist())


def table_or_folder(data: Path) -> Path:
    """Give the table of a labelled folder, or the path itself where there is none."""
    table = data / "train.csv"
    return table if table.is_file() else data


def _resolved(sample: Sample) -> tuple[Path, ...]:
    return tuple(path.resolve() for path in sample.files)


def _has_targets(table: Path) -> bool:
    with table.open(newline="", encoding="utf-8-sig") as file:
        return "Target" in next(csv.reader(file), [])


def _read_targets(table: Path) -> npt.NDArray[np.bool_]:
    rows = []
    for line, (target,) in read_columns(table, "Target"):
        rows.append(np.isin(np.arange(len(Label)), parse_labels(target, line, table)))
    return np.stack(rows)
