"""Feeds fields to Keras, drawn and augmented as a recipe says."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from hpa_sdk.runtimes.threads import usable_cores
from training.augmentation import AUGMENTATIONS, AugmentationName
from training.dataset import Targets
from training.prepared import Images, ImageSource


class FieldBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches of fields drawn with replacement, as many an epoch as asked.

    Each batch is drawn by a generator of its own, seeded by run, epoch and step: the same run sees the same batches
    whatever the number of threads, and a resumed one those that an undisturbed one would have seen.

    Parameters
    ----------
    images : ImageSource
        The fields to draw from.
    targets : numpy.ndarray
        float32 of shape (fields, 28).
    batch_size, steps : int
        Fields a batch, and batches an epoch.
    augmentation : str
        A key of `AUGMENTATIONS`.
    seed : int
        Chooses fields and views.
    probabilities : numpy.ndarray, optional
        float64 of shape (fields,) with the sum 1: how likely each field is in a draw. Default: all alike.
    """

    def __init__(
        self,
        images: ImageSource,
        targets: Targets,
        *,
        batch_size: int,
        steps: int,
        augmentation: AugmentationName,
        seed: int,
        probabilities: npt.NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(workers=usable_cores(), use_multiprocessing=False, max_queue_size=8)
        self.batch_size = batch_size
        self._images = images
        self._targets = targets
        self._steps = steps
        self._augment = AUGMENTATIONS[augmentation]
        self._seed = seed
        self._probabilities = probabilities
        self._epoch = 0

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[Images, Targets]:
        rng = np.random.default_rng([self._seed, self._epoch, index])
        rows = rng.choice(len(self._images), self.batch_size, p=self._probabilities)
        images = self._images[rows]
        return np.stack([self._augment(image, rng) for image in images]), self._targets[rows]

    def begin_epoch(self, epoch: int) -> None:
        """Draw the batches of this epoch from now on.

        Keras' own `on_epoch_end` does not serve to count: under TensorFlow it is called before the first epoch too.
        """
        self._epoch = epoch
