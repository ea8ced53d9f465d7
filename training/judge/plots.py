"""Draws an evaluation: precision-recall curves, classes that occur together, and reliability."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import PercentFormatter
from matplotlib.typing import RcKeyType

from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.labels import Label
from training.judge.calibration import Reliability
from training.judge.evaluation import Evaluation
from training.judge.metrics import RECALLS, ClassFigures

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"
"""Two colours that colour-blind people can distinguish (Okabe and Ito), and one for the background."""

_STYLE: dict[RcKeyType, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "font.size": 9,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}

_COLUMNS = 7


@contextmanager
def picture(path: Path, *, width: float, height: float) -> Iterator[Figure]:
    """Yield an empty figure in this project's style; write it atomically as PNG if the block ends without an error.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    width, height : float
        Of the figure, in inches.

    Raises
    ------
    OutputError
        The file can't be written.
    """
    with rc_context(_STYLE), atomic_write(path) as partial:
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        # Low compression: half the time for a file that is a fifth larger.
        figure.savefig(partial, format="png", dpi=110, pil_kwargs={"compress_level": 1})


def draw_precision_recall(evaluation: Evaluation, path: Path) -> None:
    """Draw the precision-recall curve of each class, with a dot at its threshold."""
    with picture(path, width=17, height=11) as figure:
        grid = figure.subplots(len(Label) // _COLUMNS, _COLUMNS, sharex=True, sharey=True)
        for index, (axes, figures) in enumerate(zip(grid.flat, evaluation.classes, strict=True)):
            _draw_curve(axes, index, figures, share=figures.support / evaluation.fields)
        figure.supxlabel("recall")
        figure.supylabel("precision")
        figure.suptitle(
            f"Precision and recall of each class on {evaluation.fields:,} fields"
            " (dot: at the threshold; dashed: share of the fields that have the class)",
            fontsize=12,
        )


def _draw_curve(axes: Axes, index: int, figures: ClassFigures, *, share: float) -> None:
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    name = f"{index} {figures.label}"
    if figures.precision_at_recall is None or figures.recall is None or figures.precision is None:
        axes.set_title(f"{name}\n ")
        axes.text(0.5, 0.5, "no field has it", ha="center", va="center", color="#555555")
        return
    axes.set_title(f"{name}\nAP {figures.average_precision:.2f}, fields {figures.support:,}")
    axes.plot(RECALLS, figures.precision_at_recall, color=BLUE)
    axes.axhline(share, color=GREY, linestyle="--", linewidth=1)
    axes.plot(figures.recall, figures.precision, "o", color=ORANGE, markersize=7, clip_on=False)


def draw_label_pairs(evaluation: Evaluation, path: Path) -> None:
    """Draw which classes occur together, in truth and in the predictions."""
    with picture(path, width=18, height=8) as figure:
        left, right = figure.subplots(1, 2)
        _draw_pairs(left, np.asarray(evaluation.pairs), "in truth")
        image = _draw_pairs(right, np.asarray(evaluation.predicted_pairs), "as predicted")
        figure.colorbar(
            image,
            ax=(left, right),
            shrink=0.75,
            format=PercentFormatter(1, decimals=0),
            label="share of the row's fields that have the column's class too",
        )
        figure.suptitle(
            f"Classes that occur together in {evaluation.fields:,} fields"
            " (row: class and its number of fields; white: no field has both; grey: the class itself)",
            fontsize=12,
        )


def _draw_pairs(axes: Axes, pairs: npt.NDArray[np.int64], title: str) -> AxesImage:
    support = pairs.diagonal()
    shares = np.where(pairs == 0, np.nan, pairs / np.maximum(support, 1)[:, None])
    axes.grid(visible=False)
    axes.set_title(title, fontsize=11)
    axes.set_xticks(range(len(Label)), [f"{label:d}" for label in Label])
    axes.set_yticks(range(len(Label)), [f"{label} {label:d} ({support[label]:,})" for label in Label])
    image = axes.imshow(shares, cmap="viridis_r", norm=LogNorm(0.01, 1, clip=True))
    axes.imshow(np.where(np.eye(len(Label)), 1, np.nan), cmap=ListedColormap([GREY]))
    return image


def draw_reliability(evaluation: Evaluation, path: Path) -> None:
    """Draw frequency against probability, before and after the card's temperature, above the number of decisions."""
    with picture(path, width=7, height=8.5) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot((0, 1), (0, 1), color=GREY, linestyle="--", linewidth=1, label="probability = frequency")
        for reliability, colour, marker in zip(evaluation.reliability, (BLUE, ORANGE), "os", strict=False):
            _draw_bins(upper, lower, reliability, colour, marker)
        upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of decisions that are present in truth")
        upper.legend(loc="upper left")
        lower.set(xlabel="predicted probability", ylabel="decisions", yscale="log")
        figure.suptitle(f"Reliability on {evaluation.fields:,} fields", fontsize=12)


def _draw_bins(upper: Axes, lower: Axes, reliability: Reliability, colour: str, marker: str) -> None:
    points = [
        (found.mean_probability, found.frequency)
        for found in reliability.bins
        if found.mean_probability is not None and found.frequency is not None
    ]
    name = f"temperature {reliability.temperature:.2f}, calibration error {reliability.error:.4f}"
    upper.plot(*zip(*points, strict=True), marker=marker, color=colour, label=name, clip_on=False)
    edges = [reliability.bins[0].low, *(found.high for found in reliability.bins)]
    lower.stairs([found.decisions for found in reliability.bins], edges, color=colour)
