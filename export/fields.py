"""Reads the fields for calibrating and judging a variant, with labels if there is a table of them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from export.held_out import UsedFields
from hpa_sdk.errors import PlaneError, TableError
from hpa_sdk.fields.exported_files import check_scheme
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.samples import Sample
from hpa_sdk.fields.tables import parse_labels_of, read_columns
from hpa_sdk.files.file_state import FileState
from hpa_sdk.labels import LabelScheme
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.preprocessing import ChannelName, Image, Preprocessing, White

LEAST_FIELDS = 32
"""Smallest number of fields for ranges of activations or for a share of equal label sets."""

_SEED = 0
_TABLE = "train.csv"


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields of one data set.

    Attributes
    ----------
    name : str
        Name of the data in cards.
    samples : tuple of Sample
        The fields.
    targets : numpy.ndarray or None
        bool of shape (fields, classes): whether the field has the class; None if there are no labels.
    channels : tuple of str
        The planes that the network takes. The others are neither read nor compared.
    white : optional
        White level of 16-bit planes, as for `hpa_sdk.preprocessing.Preprocessing.white_levels`.
    """

    name: str
    samples: tuple[Sample, ...]
    targets: npt.NDArray[np.bool_] | None
    channels: tuple[ChannelName, ...]
    white: White | None = None
    _read: dict[str, tuple[FileState, ...]] = field(default_factory=dict, compare=False, repr=False)

    def take(self, rows: Sequence[int]) -> Fields:
        """Return some of the fields, in the order of `rows`."""
        targets = None if self.targets is None else self.targets[list(rows)]
        return replace(self, samples=tuple(self.samples[row] for row in rows), targets=targets)

    def first(self, count: int) -> Fields:
        """Return the first fields, or all of them if there are fewer."""
        return self.take(range(min(count, len(self.samples))))

    def without(self, *others: Fields, most: int) -> Fields:
        """Return at most `most` fields, the first ones that are in none of the others.

        A field is identified by its files, for any spelling of their paths, and a copy by the content of its files.
        """
        taken = UsedFields((sample for other in others for sample in other.samples), self.channels)
        return self.take(list(islice((row for row, sample in enumerate(self.samples) if sample not in taken), most)))

    def record(self, sample: Sample, files: tuple[FileState, ...]) -> None:
        """Record the files that a field was just read from, and make sure that they are the same as before.

        Raises
        ------
        PlaneError
            One has changed: two models, or two steps of an export, would see different fields.
        """
        for before, now in zip(self._read.setdefault(sample.id, files), files, strict=True):
            if before != now:
                raise PlaneError(
                    "the file was changed since the field was first read",
                    where=now.path,
                    remedy="Nothing was written. Run again when nobody writes to it any more.",
                )

    def images(self, preprocessing: Preprocessing) -> Iterator[Image]:
        """Read the fields one by one as input images of a network.

        Raises
        ------
        SampleError, PlaneError
            A field can't be read, was changed since it was read before, or has 16 bits and no white level is known.
        """
        for sample in self.samples:
            found = read_field(sample, self.channels)
            self.record(sample, found.files)
            yield preprocessing(found.planes, white=self.white, where=sample.files[0])


def read_fields(data: Path, card: ModelCard, *, least: int, white: White | None = None) -> Fields:
    """Read fields in a fixed order that is independent of the order of the table.

    So the parts of a table that is sorted by class or plate are similar.

    Parameters
    ----------
    data : pathlib.Path
        A table in the Kaggle form or the Human Protein Atlas's own, a folder with ``train.csv``, or one of planes.
    card : ModelCard
        Gives the channels to read and the classes of the labels.
    least : int
        Smallest number of fields to accept.
    white : optional
        White level of 16-bit planes.

    Raises
    ------
    TableError
        There are fewer fields, the table can't be read or is written while it is read, or a label is none of the
        card's, or the labels are of another scheme.
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
    targets = _read_targets(source, samples, card.label_scheme) if listed and _has_targets(source) else None
    return Fields(_name(source), samples, targets, card.preprocessing.channels, white).take(
        np.random.default_rng(_SEED).permutation(len(samples)).tolist()
    )


def table_or_folder(data: Path) -> Path:
    """Return the table of a labelled folder, or the path itself where there is none."""
    table = data / _TABLE
    return table if table.is_file() else data


def _name(source: Path) -> str:
    """Name data after its folder, and after the table where that is no ``train.csv``."""
    if not source.is_file():
        return source.resolve().name
    folder = source.parent.resolve().name
    return folder if source.name == _TABLE else f"{folder}/{source.name}"


def _has_targets(table: Path) -> bool:
    with table.open(newline="", encoding="utf-8-sig") as file:
        return "Target" in next(csv.reader(file), [])


def _read_targets(table: Path, samples: Sequence[Sample], scheme: LabelScheme) -> npt.NDArray[np.bool_]:
    check_scheme(table, scheme)
    ids, rows = [], []
    for line, (sample_id, target) in read_columns(table, "Id", "Target"):
        ids.append(sample_id)
        present = [int(label) for label in parse_labels_of(scheme, target, line, table)]
        rows.append(np.isin(np.arange(len(scheme)), present))
    # The table is read twice, and rows of targets are matched to samples by position.
    if ids != [sample.id for sample in samples]:
        raise TableError(
            "the table was changed while it was read",
            where=table,
            remedy="Run again when nobody writes to it any more.",
        )
    return np.stack(rows)
