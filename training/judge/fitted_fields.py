"""Finds fields that a network was fitted on in the data that it is judged on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Sample
from hpa_sdk.files.file_state import stamp_of
from hpa_sdk.models.known_data import field_hash
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.preprocessing import ChannelName
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
    """Count the fields of a data set that a model was adapted to, by their planes.

    Parameters
    ----------
    known : frozenset of bytes
        The hashes of those fields: `ModelCard.known_fields`. Without any, no plane is read.
    dataset : Dataset
        The data set.
    card : ModelCard
        That of the file, or of a network that takes the same planes: a hash is of these alone.
    """
    channels = card.preprocessing.channels
    return sum(_hash_of(sample, channels) in known for sample in dataset.samples) if known else 0


def _hash_of(sample: Sample, channels: Sequence[ChannelName]) -> bytes:
    try:
        return field_hash(read_planes(sample, channels), channels)
    except HpaError:  # reported when it is predicted or drawn
        return b""


def _alike(one: Sample, other: Sample) -> bool:
    return one.files == other.files or _sizes(one) == _sizes(other)


def _sizes(sample: Sample) -> list[int]:
    return [stamp_of(file).size for file in sample.files]
