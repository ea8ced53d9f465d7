"""Writes checkpoints: a stopped fit can be resumed from the last one."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path

import keras
import msgspec

from hpa_sdk.files.atomic_write import atomic_write
from training.data.batches import FieldBatches
from training.data.prepared import Images
from training.errors import RunError
from training.fit.batch_statistics import RecomputeStatistics
from training.fit.run_folder import PROGRESS
from training.fit.saving import save

HISTORY = "history.csv"
"""File in a run folder with Keras' metrics of each epoch."""

_CALLS_AN_EPOCH = 1_000_000


@dataclass(slots=True)
class Progress:
    """The progress of a fit.

    Attributes
    ----------
    stage : int
        Number of the current stage, from 0.
    epochs : int
        Number of finished epochs of all stages.
    state : str
        File of weights and optimizer after the last of them; empty before the first.
    best : str
        File of the weights with the lowest validation loss of this stage.
    best_loss : float
        That loss.
    history : list of dict
        Keras' metrics of each epoch.
    """

    stage: int = 0
    epochs: int = 0
    state: str = ""
    best: str = ""
    best_loss: float = math.inf
    history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Progress:
        """Read the progress of the fit in a run folder; a new one if it has not started."""
        path = folder / PROGRESS
        if not path.exists():
            return cls()
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (UnicodeDecodeError, msgspec.DecodeError) as error:
            raise RunError(
                f"the record of progress can't be read ({error})", where=path, remedy="Fit anew in another folder."
            ) from error

    def write(self, folder: Path) -> None:
        """Write history, then progress, then remove the weights that the progress no longer names."""
        with atomic_write(folder / HISTORY) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            rows = csv.DictWriter(file, fieldnames=list(self.history[0]), lineterminator="\n")
            rows.writeheader()
            # After a resume they are read as 0.0.
            rows.writerows({**row, "epoch": int(row["epoch"]), "stage": int(row["stage"])} for row in self.history)
        with atomic_write(folder / PROGRESS) as partial:
            partial.write_bytes(msgspec.json.encode(self))
        for weights in folder.glob("*.weights.h5"):
            if weights.name not in {self.state, self.best}:
                weights.unlink()

    def discard(self, folder: Path) -> None:
        """Remove the files that only an unfinished fit needs."""
        for weights in folder.glob("*.weights.h5"):
            weights.unlink()
        (folder / PROGRESS).unlink(missing_ok=True)


def _no_number(name: str, loss: float, at: str, folder: Path) -> RunError:
    saved = Progress.read(folder)
    state = f"the state after epoch {saved.epochs} is saved" if saved.state else "no state is saved yet"
    return RunError(
        f"the {name} is {loss} in {at} ({state})",
        where=folder,
        remedy="The same plan gives the same result. Fit in a new folder: by a --recipe FILE.toml"
        " with a lower learning_rate, or, if the precision is mixed, with --precision float32.",
    )


class _OnEpochs(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    def __init__(self, progress: Progress, folder: Path, every: int) -> None:
        super().__init__()
        self._progress = progress
        self._folder = folder
        self._every = every

    def _save(self, name: str) -> str:
        save(self._folder / name, self.model, self.model.save_weights)
        return name

    def _is_checkpoint(self, epoch: int) -> bool:
        """Return whether an epoch is saved; the last one of a stage always is, since the next stage starts from it."""
        return (epoch + 1) % self._every == 0 or epoch + 1 == self.params["epochs"]


class SaveState(_OnEpochs):
    """Saves weights and optimizer at each checkpoint, and sets batches and dropout for each epoch.

    Dropout is seeded by run and epoch, since Keras does not save its random state: so a resumed fit drops the same
    units as an undisturbed one.

    Parameters
    ----------
    progress : Progress
        Updated here.
    folder : pathlib.Path
        The run folder.
    every : int
        Epochs between checkpoints.
    batches : FieldBatches
        Gets the number of each epoch at its start.
    seed : int
        Seed of the run.

    Raises
    ------
    RunError
        The loss is not a number. The last good state stays.
    """

    def __init__(self, progress: Progress, folder: Path, every: int, *, batches: FieldBatches, seed: int) -> None:
        super().__init__(progress, folder, every)
        self._batches = batches
        self._seed = seed

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the epoch's batches, and seed its dropout."""
        del logs
        self._batches.begin_epoch(epoch)
        for number, layer in enumerate(self.model.layers):
            if isinstance(layer, keras.layers.Dropout):
                layer.seed_generator.state.assign([self._seed + number, epoch * _CALLS_AN_EPOCH])

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stop if the loss is not a number."""
        loss = float((logs or {"loss": 0.0})["loss"])
        if not math.isfinite(loss):
            raise _no_number("loss", loss, f"step {batch + 1} of epoch {self._progress.epochs + 1}", self._folder)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save the state."""
        if self._is_checkpoint(epoch):
            self._progress.state = self._save(f"state-{epoch + 1}.weights.h5")
        self._progress.epochs = epoch + 1
        self._progress.history.append({"epoch": epoch, "stage": self._progress.stage} | dict(logs or {}))


class SaveBest(_OnEpochs):
    """Saves the weights when the validation loss is the lowest so far, and writes the progress at each checkpoint.

    It must come after `SaveState` and, if weights are averaged, after Keras' SwapEMAWeights, so that the average is
    saved.
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save the weights if they are the best."""
        loss = float((logs or {})["val_loss"])
        if not math.isfinite(loss):
            raise _no_number("validation loss", loss, f"epoch {epoch + 1}", self._folder)
        if loss < self._progress.best_loss:
            self._progress.best = self._save(f"best-{epoch + 1}.weights.h5")
            self._progress.best_loss = loss
        if self._is_checkpoint(epoch):
            self._progress.write(self._folder)


def callbacks(
    progress: Progress,
    folder: Path,
    *,
    every: int,
    batches: FieldBatches,
    seed: int,
    averaged: bool,
    statistics: Images | None,
) -> list[keras.callbacks.Callback]:
    """Return the callbacks that validate and save, in the order in which Keras must call them."""
    return [
        SaveState(progress, folder, every, batches=batches, seed=seed),
        *([keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if averaged else []),
        *([RecomputeStatistics(statistics)] if statistics is not None else []),
        SaveBest(progress, folder, every),
    ]
