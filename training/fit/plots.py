"""Draws the history of a fit and its training images, as the study does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import TableError
from hpa_sdk.fields.tables import read_columns
from training.data.batches import FieldBatches
from training.errors import RunError
from training.judge.plots import BLUE, ORANGE, picture

HISTORY_PICTURE = "history.png"
"""The picture of `draw_history` in a run folder and in an evaluation."""

TRAINING_PICTURE = "training_images.png"
"""The picture of `draw_training_images` in a run folder and in an evaluation."""

_PANELS = {"loss": "loss", "batch_f1": "F1 (mean over batches, above 0.5)", "binary_accuracy": "binary accuracy"}
_ROWS, _COLUMNS = 10, 5
_SHOWN_COLOURS = 3  # a picture has no fourth
_CAPTION, _MARGIN = 36, 6  # pixels above and next to an image
_DOTS = 130  # pixels of an image to the inch
_MARKED_EPOCHS = 20

# Above this ratio a linear axis shows only the highest value; the study's validation loss spans 10,000.
_WIDE = 20.0


def draw_history(history: Path, path: Path) -> None:
    """Draw loss, F1 and accuracy of each epoch, in training and in validation.

    Parameters
    ----------
    history : pathlib.Path
        The ``history.csv`` of a run folder.
    path : pathlib.Path
        PNG to write.

    Raises
    ------
    RunError
        The history can't be read, lacks a column, or has no row.
    """
    epochs = _read_history(history)
    with picture(path, width=15, height=4.6) as figure:
        for axes, (name, title) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
            shown = epochs[name], epochs[f"val_{name}"]
            marker = "o" if len(epochs["epoch"]) <= _MARKED_EPOCHS else ""
            axes.plot(epochs["epoch"] + 1, shown[0], color=BLUE, marker=marker, label="training")
            axes.plot(epochs["epoch"] + 1, shown[1], color=ORANGE, marker=marker, linestyle="--", label="validation")
            axes.set(title=title, xlabel="epoch", yscale=_scale(np.concatenate(shown)) if name == "loss" else "linear")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend()


def _read_history(history: Path) -> dict[str, npt.NDArray[np.float64]]:
    names = ["epoch", *_PANELS, *(f"val_{name}" for name in _PANELS)]
    try:
        rows = [[_number(cell) for cell in cells] for _, cells in read_columns(history, *names)]
    except TableError as error:
        raise RunError(
            error.what, where=error.where, remedy="Name the history.csv of a python -m training fit."
        ) from error
    return dict(zip(names, np.asarray(rows, np.float64).T, strict=True))


def _number(cell: str) -> float:
    """Read a cell; Keras writes NA if it has no number, and the line then has a gap."""
    try:
        return float(cell)
    except ValueError:
        return np.nan


def _scale(values: npt.NDArray[np.float64]) -> str:
    known = values[np.isfinite(values)]
    wide = known.size > 0 and known.min() > 0 and known.max() > _WIDE * known.min()
    return "log" if wide else "linear"


def draw_training_images(batches: FieldBatches, path: Path) -> None:
    """Draw 50 images as a network sees them in training, with their class indices.

    Parameters
    ----------
    batches : FieldBatches
        Draws and augments the fields; enough batches for 50 images are taken.
    path : pathlib.Path
        PNG to write.

    Raises
    ------
    PlaneError
        A field can't be read.
    """
    count = _ROWS * _COLUMNS
    drawn = [batches[index] for index in range(-(-count // batches.batch_size))]
    images, targets = (np.concatenate(parts)[:count] for parts in zip(*drawn, strict=True))
    # One picture for all images, since fifty axes take seconds to draw.
    tiles = np.pad(images[..., :_SHOWN_COLOURS], ((0, 0), (_CAPTION, 0), (_MARGIN, _MARGIN), (0, 0)), constant_values=1)
    _, height, width, colours = tiles.shape
    mosaic = tiles.reshape(_ROWS, _COLUMNS, height, width, colours).swapaxes(1, 2).reshape(_ROWS * height, -1, colours)
    with picture(path, width=_COLUMNS * width / _DOTS, height=_ROWS * height / _DOTS) as figure:
        axes = figure.subplots()
        axes.imshow(mosaic.clip(0, 1))
        axes.set_axis_off()
        for index, target in enumerate(targets):
            row, column = divmod(index, _COLUMNS)
            classes = " ".join(map(str, np.flatnonzero(target)))
            axes.text((column + 0.5) * width, row * height + _CAPTION - _MARGIN, classes, ha="center")
        axes.set_title(f"{count} images as the network sees them in training, with their class indices", fontsize=14)
