"""Compares the share of cells that show a label with the share that is known, on collages with two patterns."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hpa_sdk import Label, Prediction, Predictor, Sample
from hpa_sdk.cells.cell import CellAnswers
from training.data.dataset import read_dataset
from training.data.split import stratified_split


@dataclass(frozen=True, slots=True)
class Collage:
    """One collage.

    Attributes
    ----------
    shares : dict of int to float
        The true share of cells of each of its labels.
    found, mean : numpy.ndarray
        Of shape (28,): the share of its cells that show each label, and the mean probability over its cells.
    field : numpy.ndarray
        Of shape (28,): the probability of each label for the whole field.
    right : numpy.ndarray
        bool, one for each cell: whether its label set is exactly that of the collage.
    """

    shares: dict[int, float]
    found: np.ndarray
    mean: np.ndarray
    field: np.ndarray
    right: np.ndarray


@dataclass(frozen=True, slots=True)
class Pair:
    """Correlations (Pearson) with the true share of the cells that show a label, over the collages of two labels."""

    labels: tuple[str, str]
    label: str
    collages: int
    found: float
    mean: float
    field: float


def split_collages(folder: Path) -> tuple[list[Sample], list[Sample]]:
    """Return the collages that the starter was fitted on, and the others: see `benchmarks.starter`."""
    dataset = read_dataset(folder)
    fitted, held_out = ([dataset.samples[row] for row in rows] for rows in stratified_split(dataset.targets))
    return fitted, held_out


def read_shares(folder: Path) -> dict[str, dict[int, float]]:
    """Read the share of the cells of each collage that show each of its labels."""
    with (folder / "mix.csv").open(encoding="utf-8", newline="") as file:
        return {
            # A collage of one label names it first, also where its cells are the second kind of the mix.
            row["Id"]: {int(row[name]): float(row[f"share_{name}"]) for name in ("first", "second")}
            if row["second"]
            else {int(row["first"]): 1.0}
            for row in csv.DictReader(file)
        }


def answer(predictor: Predictor, samples: list[Sample], folder: Path) -> list[Collage]:
    """Predict collages, cell by cell and as fields."""
    shares, collages = read_shares(folder), []
    fields = predictor.predict(samples)
    for field, cells in zip(fields, tqdm(predictor.cells(samples), total=len(samples), disable=None), strict=True):
        if not isinstance(cells, CellAnswers):
            raise cells.error
        answers = [one for one in cells.answers if isinstance(one, Prediction)]
        shown = np.array([one.probabilities >= one.thresholds for one in answers])
        probabilities = np.array([one.probabilities for one in answers])
        right = (shown == np.isin(range(len(Label)), list(shares[field.id]))).all(axis=1)
        collages.append(
            Collage(shares[field.id], shown.mean(axis=0), probabilities.mean(axis=0), field.probabilities, right)
        )
    return collages


def correlations(collages: list[Collage]) -> list[Pair]:
    """Correlate, for each pair of labels that are mixed; a collage of one pattern belongs to each pair with it."""
    pairs: defaultdict[tuple[int, int], list[Collage]] = defaultdict(list)
    for collage in collages:
        if len(collage.shares) > 1:
            first, second = sorted(collage.shares)
            pairs[first, second].append(collage)
    found = []
    for (first, second), mixed in sorted(pairs.items()):
        of_pair = mixed + [one for one in collages if len(one.shares) == 1 and set(one.shares) <= {first, second}]
        for label in (first, second):
            truth = [one.shares.get(label, 0.0) for one in of_pair]
            found.append(
                Pair(
                    (Label(first).hpa_name, Label(second).hpa_name),
                    Label(label).hpa_name,
                    len(of_pair),
                    *(_pearson(truth, [float(getattr(one, name)[label]) for one in of_pair]) for name in _MEASURES),
                )
            )
    return found


_MEASURES = ("found", "mean", "field")


def _pearson(one: list[float], other: list[float]) -> float:
    if np.std(one) == 0 or np.std(other) == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
