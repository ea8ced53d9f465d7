"""Makes fields whose brightness says their labels, as a person would have reviewed them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.small import write_planes


def write_reviewed(folder: Path, *, count: int = 60, seed: int = 0, last: int = 2, none: int = 5) -> Path:
    """Write fields: class 0 where green is bright, 1 where red is, `last` where blue is, `none` where nothing is."""
    rng = np.random.default_rng(seed)
    levels = rng.uniform(20, 235, (count, 4, 1, 1))
    labels = []
    for row, level in enumerate(levels):
        planes = np.clip(rng.normal(level, 8, (4, 32, 32)), 0, 255).astype(np.uint8)
        write_planes(folder, f"field-{row:03d}", planes)
        red, green, blue, _ = level.ravel() > 120
        labels.append([label for label, there in ((0, green), (1, red), (last, blue)) if there] or [none])
    return write_table(folder, labels)


def write_table(folder: Path, labels: Sequence[Sequence[int]]) -> Path:
    """Write the labels of the fields of a folder, in order."""
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Id", "Target"])
        writer.writerows([f"field-{row:03d}", " ".join(map(str, one))] for row, one in enumerate(labels))
    return folder


def read_table(folder: Path, classes: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Read the labels of a folder as an array, bool of shape (fields, classes)."""
    with (folder / "train.csv").open(encoding="utf-8") as file:
        targets = [set(map(int, row["Target"].split())) for row in csv.DictReader(file)]
    return np.array([[label in target for label in range(classes)] for target in targets])
