"""Feeds fields to Keras, drawn and augmented as the study does."""

from __future__ import annotations

import os

import keras
import numpy as np
import numpy.typing as npt

from hpa_sdk.planes import read_planes
from hpa_sdk.preprocessing import Image, Preprocessing
from hpa_sdk.samples import Sample
from training.augmentation import AUGMENTATIONS, AugmentationName
from training.dataset import Targets

Images = npt.NDArray[np.float32]
"""float32 of shape (N, 299, 299, 3), 0 to 1."""


class FieldBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches of fields drawn with replacement, as many an epoch as asked.

    Each batch is drawn by a generator of its own, seeded by run, epoch and step: the same run sees the same batches
    whatever the number of threads.

    Parameters
    ----------
    samples : sequence of Sample
        The fields to draw from.
    targets : numpy.ndarray
        float32 of shape (fields, 28).
    batch_size, steps : int
        Fields a batch, and batches an epoch.
    augmentation : str
        A key of `AUGMENTATIONS`.
    seed : int
        Chooses fields and views.
    """

    def __init__(
        self,
        samples: tuple[Sample, ...],
        targets: Targets,
        *,
        batch_size: int,
        steps: int,
        augmentation: AugmentationName,
        seed: int,
    ) -> None:
        super().__init__(workers=os.cpu_count() or 1, use_multiprocessing=False, max_queue_size=8)
        self._samples = samples
        self._targets = targets
        self.batch_size = batch_size
        self._steps = steps
        self._augment = AUGMENTATIONS[augmentation]
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[Images, Targets]:
        rng = np.random.default_rng([self._seed, self._epoch, index])
        rows = rng.integers(len(self._samples), size=self.batch_size)
        images = [self._augment(read_image(self._samples[row]), rng) for row in rows]
        return np.stack(images), self._targets[rows]

    def on_epoch_end(self) -> None:
        """Draw other batches in the next epoch."""
        self._epoch += 1


def read_image(sample: Sample) -> Image:
    """Read one field as the networks see it: float32 of shape (299, 299, 3), 0 to 1."""
    return Preprocessing()(read_planes(sample))


def read_images(samples: tuple[Sample, ...]) -> Images:
    """Read some fields into memory: float32 of shape (N, 299, 299, 3), 1.1 MB a field."""
    return np.stack([read_image(sample) for sample in samples])
