"""Keeps the fields of the starter as arrays, simulated or read once, so that a fit on a CPU does not wait for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hpa_sdk.fields.reading import read_planes
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.labels import Label
from training.data.dataset import Targets, read_dataset
from training.simulation.fields import simulate_field
from training.simulation.label_draw import label_sets

Images = npt.NDArray[np.uint8]
"""uint8 of shape (fields, side, side, 4): red, green, blue, yellow."""

_SINGLE_SHARE = 0.3
_FIELDS_A_TASK = 8


@dataclass(frozen=True, slots=True)
class Fields:
    """Labelled fields.

    Attributes
    ----------
    images : numpy.ndarray
        uint8 of shape (fields, side, side, 4); may lie in a file.
    targets : numpy.ndarray
        float32 of shape (fields, 28).
    """

    images: Images
    targets: Targets

    def __len__(self) -> int:
        """Give the number of fields."""
        return len(self.targets)

    def rows(self, chosen: npt.NDArray[np.intp]) -> Fields:
        """Give some of the fields."""
        return Fields(self.images[chosen], self.targets[chosen])


def simulated(folder: Path, *, count: int, seed: int, side: int, even: bool) -> Fields:
    """Simulate fields once, and read them afterwards.

    Parameters
    ----------
    folder : pathlib.Path
        Where the arrays lie.
    count, seed : int
        Fields, and the seed of the set.
    side : int
        Rows and columns of the fields.
    even : bool
        Draw rare label sets more often, for a fit. Otherwise label sets are as frequent as in the Kaggle table.
    """
    name = f"simulated-{seed}-{count}-{side}-{'even' if even else 'natural'}"
    return _kept(folder / name, partial(_simulate, count=count, seed=seed, side=side, even=even))


def real(folder: Path, data: Path, *, side: int) -> Fields:
    """Read labelled fields in the Kaggle form once, and reduce them to this side by the mean of the pixels."""
    return _kept(folder / f"{data.name}-{side}", partial(_read, data, side))


def joined(first: Fields, second: Fields) -> Fields:
    """Give the fields of both."""
    return Fields(np.concatenate([first.images, second.images]), np.concatenate([first.targets, second.targets]))


def _kept(stem: Path, make: Callable[[], Fields]) -> Fields:
    images, targets = stem.with_name(f"{stem.name}-images.npy"), stem.with_name(f"{stem.name}-targets.npy")
    if not targets.exists():
        stem.parent.mkdir(parents=True, exist_ok=True)
        made = make()
        # The targets last: they say that the set is complete.
        for file, values in ((images, made.images), (targets, made.targets)):
            with atomic_write(file) as partial_file, partial_file.open("wb") as stream:
                np.save(stream, values)
    return Fields(np.load(images, mmap_mode="r"), np.load(targets))


def _read(data: Path, side: int) -> Fields:
    dataset = read_dataset(data)
    images = np.stack([reduced(read_planes(sample), side) for sample in dataset.samples])
    return Fields(images, dataset.targets)


def reduced(planes: npt.NDArray[np.uint8 | np.uint16], side: int) -> Images:
    """Turn planes into an image of another size, by the mean of the pixels."""
    image = cv2.merge(list(planes))
    smaller = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8)


def _simulate(*, count: int, seed: int, side: int, even: bool) -> Fields:
    pool = ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,))
    with pool as executor:
        made = executor.map(
            partial(_simulate_one, seed=seed, side=side, even=even), range(count), chunksize=_FIELDS_A_TASK
        )
        return _collected(tqdm(made, total=count, unit=" fields", disable=None), count, side)


def _collected(made: Iterable[tuple[Images, list[int]]], count: int, side: int) -> Fields:
    images = np.empty((count, side, side, 4), np.uint8)
    targets = np.zeros((count, len(Label)), np.float32)
    for row, (image, labels) in enumerate(made):
        images[row] = image
        targets[row, labels] = 1
    return Fields(images, targets)


def _simulate_one(index: int, *, seed: int, side: int, even: bool) -> tuple[Images, list[int]]:
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    labels = _draw_labels(rng, even=even)
    return np.moveaxis(simulate_field(labels, rng, size=side), 0, -1), labels


def _draw_labels(rng: np.random.Generator, *, even: bool) -> list[int]:
    """Draw a label set as the Kaggle table has them; if `even`, more evenly, and often a single label."""
    if even and rng.random() < _SINGLE_SHARE:
        return [int(rng.integers(len(Label)))]
    sets = list(label_sets())
    frequency = np.array(list(label_sets().values()), np.float64)
    if even:
        of_class = np.zeros(len(Label))
        for labels, fields in label_sets().items():
            of_class[list(labels)] += fields
        frequency *= [1 / of_class[list(labels)].min() ** 0.6 for labels in sets]
    return [int(label) for label in sets[rng.choice(len(sets), p=frequency / frequency.sum())]]
