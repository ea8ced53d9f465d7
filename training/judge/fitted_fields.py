"""Finds fields that a network was fitted on in the data that it is judged on."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.samples import Sample
from hpa_sdk.files.file_state import FileState, stamp_of
from hpa_sdk.models.adaptation import field_hash
from hpa_sdk.models.model_card import ModelCard
from training.data.dataset import Dataset, read_datasets
from training.judge.fitted_run import FittedRun, is_data_of, part_rows


def count_fitted_fields(run: FittedRun, dataset: Dataset) -> int:
    """Count the fields of a data set that a run was fitted on, if the data of the fit is still where it was.

    A field is identified by its id and the sizes of its planes, so that it is found in another table and in a copy.

    Parameters
    ----------
    run : FittedRun
        The network.
    dataset : Dataset
        Other data than that of the fit; it can contain a part of that.
    """
    try:
        fitted_on = read_datasets(run.data) if run.data else None
    except HpaError:  # moved or changed since: the fields are unknown
        return 0
    if fitted_on is None:
        return 0
    # If the table has changed, it is unknown which fields were in which part.
    known = is_data_of(run, fitted_on)
    rows = part_rows(fitted_on, "training", run) if known else np.arange(len(fitted_on.samples))
    fitted = {sample.id: sample for sample in fitted_on.pick(rows)}
    return sum(sample.id in fitted and _alike(sample, fitted[sample.id]) for sample in dataset.samples)


def count_adapted_fields(known: frozenset[bytes], dataset: Dataset, card: ModelCard) -> int:
    """Count the fields of a data set that a model file was adapted to, by the content of their planes.

    Parameters
    ----------
    known : frozenset of bytes
        The hashes of those fields: `hpa_sdk.models.adaptation.Adaptation.known_fields`.
    dataset : Dataset
        The data set.
    card : ModelCard
        That of the file, or of a network that takes the same planes: a hash is of these alone.
    """
    channels = card.preprocessing.channels
    return sum(_hash_of(sample, channels) in known for sample in dataset.samples) if known else 0


def _hash_of(sample: Sample, channels: Collection[str]) -> bytes:
    try:
        return field_hash(map(FileState.of, sample.files_of(channels)))
    except OSError:  # reported when it is predicted or drawn
        return b""


def _alike(one: Sample, other: Sample) -> bool:
    return one.files == other.files or _sizes(one) == _sizes(other)


def _sizes(sample: Sample) -> list[int]:
    return [stamp_of(file).size for file in sample.files]
