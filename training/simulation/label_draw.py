"""Draws the labels of a field with the frequencies and co-occurrences of the real table."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from hpa_sdk.labels import Label

LabelSet = tuple[Label, ...]


@cache
def label_sets() -> dict[LabelSet, int]:
    """Read how many of the 31,072 fields of the Kaggle set of 2018 have each set of labels.

    Returns
    -------
    dict of tuple of Label to int
        Number of fields by label set, each set in class order; the most frequent first.
    """
    table = files(__package__).joinpath("label_sets.csv").read_text(encoding="utf-8")
    return {
        tuple(Label(int(index)) for index in row["Target"].split()): int(row["fields"])
        for row in csv.DictReader(table.splitlines())
    }


def draw_labels(rng: np.random.Generator) -> LabelSet:
    """Draw the label set of one field with the frequency that it has in the real table.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    tuple of Label
        The 1 to 5 labels, in class order.
    """
    sets, chances = _sets_with_chances()
    return sets[rng.choice(len(sets), p=chances)]


@cache
def _sets_with_chances() -> tuple[list[LabelSet], NDArray[np.float64]]:
    fields = np.array(list(label_sets().values()))
    return list(label_sets()), fields / fields.sum()
