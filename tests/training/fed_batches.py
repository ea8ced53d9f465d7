"""Fits for some epochs and prints, as JSON, which fields Keras was fed in each, and which each epoch's batches hold.

Argument: the epoch to begin with.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import keras
import numpy as np

from training.data.batches import FieldBatches
from training.data.prepared import Images, Rows

FIELDS, STEPS, EPOCHS = 1000, 12, 4


class NumberedImages:
    """Fields of one pixel, which holds their row."""

    def __len__(self) -> int:
        return FIELDS

    def __getitem__(self, rows: Rows) -> Images:
        return np.asarray(rows, np.float32)[:, None, None, None]


class Fed(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Records the row in each step, which is its loss."""

    def __init__(self, batches: FieldBatches) -> None:
        super().__init__()
        self._batches = batches
        self._sum = 0.0
        self.rows: list[list[int]] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Begin the epoch's batches."""
        del logs
        self._batches.begin_epoch(epoch)
        self.rows.append([])
        self._sum = 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Take the step out of the mean of all so far."""
        before, self._sum = self._sum, float((logs or {})["loss"]) * (batch + 1)
        self.rows[-1].append(round(self._sum - before))


def draw() -> FieldBatches:
    """Return batches of one field."""
    targets = np.zeros((FIELDS, 1), np.float32)
    return FieldBatches(NumberedImages(), targets, batch_size=1, steps=STEPS, augmentation="none", seed=0)


def main(first: int) -> None:
    """Fit, and print both."""
    network = keras.Sequential(
        [keras.Input((1, 1, 1)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")]
    )
    network.compile(keras.optimizers.SGD(0.0), loss=lambda _, row: row[:, 0, 0, 0])
    batches = draw()
    fed = Fed(batches)
    network.fit(batches, shuffle=False, verbose=0, initial_epoch=first, epochs=EPOCHS, callbacks=[fed])
    own = draw()
    drawn = []
    for epoch in range(first, EPOCHS):
        own.begin_epoch(epoch)
        drawn.append([int(own[step][0].item()) for step in range(STEPS)])
    sys.stdout.write(json.dumps([fed.rows, drawn]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
