"""Reads a labelled data set in the form of Kaggle or of the Human Protein Atlas."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import TableError
from hpa_sdk.fields.exported_files import check_scheme
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.samples import Sample
from hpa_sdk.fields.tables import is_table, labels_fingerprint, parse_labels, read_columns
from hpa_sdk.files.file_state import stamp_of
from hpa_sdk.labels import HPA_2018, Label
from hpa_sdk.preprocessing import White

Targets = npt.NDArray[np.float32]
"""float32 of shape (fields, 28): 1 where the field has the class, else 0."""


_TABLE = "train.csv"


@dataclass(frozen=True, slots=True)
class Source:
    """One of the data sets that a data set is made of.

    Attributes
    ----------
    name, fingerprint : str
        As in `Dataset`.
    fields : int
        Number of fields.
    """

    name: str
    fields: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled fields.

    Attributes
    ----------
    name : str
        Name of the data in cards and tables: its folder, and the table if that is not ``train.csv``.
    samples : tuple of Sample
        The fields, in the order of the table.
    targets : numpy.ndarray
        float32 of shape (fields, 28).
    fingerprint : str
        SHA-256, in hexadecimal, of ids, labels, and sizes of the planes.
    white : optional
        White level of 16-bit planes, as for `hpa_sdk.preprocessing.Preprocessing.white_levels`.
    tables : tuple of pathlib.Path
        The tables that list the fields: absolute, and without links in their folders.
    sources : tuple of Source
        The data sets that it is made of, in the order of their fields.
    """

    name: str
    samples: tuple[Sample, ...]
    targets: Targets
    fingerprint: str
    white: White | None = None
    tables: tuple[Path, ...] = ()
    sources: tuple[Source, ...] = ()

    def pick(self, rows: npt.NDArray[np.intp]) -> tuple[Sample, ...]:
        """Return the samples in these rows, in their order."""
        return tuple(self.samples[row] for row in rows)


def read_datasets(sources: Sequence[Path], *, white: White | None = None) -> Dataset:
    """Read several labelled data sets as one, in the order given; see `read_dataset`.

    Raises
    ------
    TableError
        A source can't be used, or two of them have a field of the same id.
    """
    datasets = [read_dataset(source, white=white) for source in sources]
    seen: dict[str, Path] = {}
    for source, dataset in zip(sources, datasets, strict=True):
        for sample in dataset.samples:
            if sample.id in seen:
                raise TableError(
                    f"the field {sample.id} is in {seen[sample.id]} too",
                    where=source,
                    remedy="Take it out of one of the tables, so that no field is both fitted on and judged by.",
                )
            seen[sample.id] = source
    if len(datasets) == 1:
        return datasets[0]
    return Dataset(
        " + ".join(dataset.name for dataset in datasets),
        tuple(sample for dataset in datasets for sample in dataset.samples),
        np.concatenate([dataset.targets for dataset in datasets]),
        hashlib.sha256(" ".join(dataset.fingerprint for dataset in datasets).encode()).hexdigest(),
        white,
        tuple(table for dataset in datasets for table in dataset.tables),
        tuple(source for dataset in datasets for source in dataset.sources),
    )


def read_dataset(data: Path, *, white: White | None = None) -> Dataset:
    """Read a labelled data set.

    Parameters
    ----------
    data : pathlib.Path
        A folder with ``train.csv`` and the planes in it or in ``train/``, or a table with the planes there. Labels
        are as `read_label_table` takes them; planes are grey pictures, or JPEGs pseudocoloured in the colours of their
        channels.
    white : optional
        White level of 16-bit planes.

    Raises
    ------
    TableError
        The table or a plane is missing, an id occurs twice, a label is none of the 28 classes, the labels are of
        another scheme, or the table is written while it is read.
    """
    table = data if is_table(data) else data / _TABLE
    ids, targets = read_label_table(table)
    samples = tuple(find_samples(table))
    # The table is read twice, and rows of targets are matched to samples by position.
    if ids != tuple(sample.id for sample in samples):
        raise TableError(
            "the table was changed while it was read",
            where=table,
            remedy="Run again when nobody writes to it any more.",
        )
    folder = table.parent.resolve()
    # Tables with other names are named too; that of the Kaggle form is named after its folder.
    name = folder.name if table.name == _TABLE else f"{folder.name}/{table.name}"
    fingerprint = _fingerprint(ids, targets, samples, table)
    source = Source(name, len(samples), fingerprint)
    return Dataset(name, samples, targets, fingerprint, white, (folder / table.name,), (source,))


def read_label_table(table: Path) -> tuple[tuple[str, ...], Targets]:
    """Read a table of labels.

    Parameters
    ----------
    table : pathlib.Path
        As `read_columns` takes it, with the columns ``Id`` and ``Target``: class indices separated by spaces, or HPA
        names separated by ``;``, ``,`` or ``|``.

    Returns
    -------
    ids : tuple of str
        In the order of the table.
    targets : numpy.ndarray
        float32 of shape (fields, 28).

    Raises
    ------
    TableError
        The table can't be read, an id occurs twice, or a label is none of the 28 classes: the message names the line.
        Or a file beside the table says that its labels are of another scheme.
    """
    check_scheme(table, HPA_2018)
    rows: dict[str, tuple[Label, ...]] = {}
    for line, (sample_id, target) in read_columns(table, "Id", "Target"):
        if sample_id in rows:
            raise TableError(
                f"line {line} repeats the id {sample_id}",
                where=table,
                remedy="Give each field one row with all labels.",
            )
        rows[sample_id] = parse_labels(target, line, table)
    targets = np.zeros((len(rows), len(Label)), np.float32)
    for row, labels in enumerate(rows.values()):
        targets[row, list(labels)] = 1
    return tuple(rows), targets


def _fingerprint(ids: tuple[str, ...], targets: Targets, samples: tuple[Sample, ...], table: Path) -> str:
    sizes = (_sizes(sample, table) for sample in samples)
    labels = (np.flatnonzero(target).tolist() for target in targets)
    return labels_fingerprint(zip(ids, labels, sizes, strict=True))


def _sizes(sample: Sample, table: Path) -> list[int]:
    try:
        return [stamp_of(file).size for file in sample.files]
    except OSError as error:
        raise TableError(
            f"the field {sample.id} has no {Path(str(error.filename)).name}",
            where=table,
            remedy="Put the four planes of each field beside the table or in train/, or take the row out.",
        ) from error
