"""Feeds fields to Keras, drawn and augmented as a recipe says."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

import keras
import numpy as np
import numpy.typing as npt

from hpa_sdk.inference.threads import usable_cores
from training.data.augmentation import AUGMENTATIONS, AugmentationName
from training.data.dataset import Targets
from training.data.prepared import Images, ImageSource

_READ_AHEAD = 8

_Batch = tuple[Images, Targets]


class FieldBatches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches of fields drawn with replacement, as many an epoch as asked.

    Each batch is drawn by a generator of its own, seeded by run, epoch and step. So the batches do not depend on the
    number of threads, and a resumed run sees the same batches as an undisturbed one.

    Threads of this class read the next batches ahead, by epoch and step. Keras' own threads ignore the epoch: if Keras
    looks at a batch before it fits, as under JAX, they keep what they have read and feed it first.

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
        super().__init__()
        self.batch_size = batch_size
        self._images = images
        self._targets = targets
        self._steps = steps
        self._augment = AUGMENTATIONS[augmentation]
        self._seed = seed
        self._probabilities = probabilities
        self._epoch = 0
        self._threads = ThreadPoolExecutor(usable_cores(), thread_name_prefix="batches")
        self._ahead: dict[tuple[int, int], Future[_Batch]] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> _Batch:
        with self._lock:
            # A picture of the first batches may need more batches than an epoch has.
            last = max(index, min(index + _READ_AHEAD, self._steps - 1))
            wanted = [(self._epoch, step) for step in range(index, last + 1)]
            self._ahead = {at: self._ahead.get(at) or self._threads.submit(self._draw, *at) for at in wanted}
            asked = self._ahead[wanted[0]]
        return asked.result()

    def _draw(self, epoch: int, step: int) -> _Batch:
        rng = np.random.default_rng([self._seed, epoch, step])
        rows = rng.choice(len(self._images), self.batch_size, p=self._probabilities)
        images = self._images[rows]
        return np.stack([self._augment(image, rng) for image in images]), self._targets[rows]

    def begin_epoch(self, epoch: int) -> None:
        """Draw the batches of this epoch from now on.

        Keras' own `on_epoch_end` can't be used to count epochs: TensorFlow calls it before the first epoch too.
        """
        self._epoch = epoch
