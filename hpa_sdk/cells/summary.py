"""Counts how many cells of a field show each label, with the uncertainty of the share."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.files.file_state import escaped
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.results.cell_counts import CellCounts, CellShare

_Z = 1.959963984540054  # the 97.5th percentile of the standard normal distribution
_DIGITS = 4
_SOME = 0.05  # a share whose interval lies between this and 1 minus this is that of some cells only


def wilson_interval(shown: int, cells: int) -> tuple[float, float]:
    """Return the 95% confidence interval of a share.

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), with p = shown/n, n = cells and z = 1.96. It treats the cells as
    independent; those of one field share their staining and their neighbours, so the true interval is wider.

    Parameters
    ----------
    shown : int
        Number of cells that show a label.
    cells : int
        Number of all cells; with none, the share can be anything from 0 to 1.

    References
    ----------
    Wilson, Journal of the American Statistical Association 22 (1927) 209, doi:10.1080/01621459.1927.10502953.
    """
    if not cells:
        return 0.0, 1.0
    share, square = shown / cells, _Z**2 / cells
    middle = share + square / 2
    half = _Z * math.sqrt(share * (1 - share) / cells + square / (4 * cells))
    return max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelShare:
    """How many cells of a field show one label.

    Attributes
    ----------
    label : str
        Name of the class.
    shown : int
        Number of cells inside the field that show it. Cells at the border, which may be incomplete, do not count.
    share, low, high : float
        Their share of the cells that were answered inside the field, and its interval: see `wilson_interval`.
    border_shown : int
        Number of cells at the border that show it.
    """

    label: str
    shown: int
    share: float
    low: float
    high: float
    border_shown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSummary:
    """The cells of a field, counted.

    Attributes
    ----------
    id : str
        The field's id.
    cells, border_cells : int
        Number of cells that were answered: inside the field, and at its border.
    failed : int
        Number of cells without an answer.
    labels : tuple of LabelShare
        The labels that at least one cell shows, those of most cells first.
    error : str
        Why the field has no cells; empty if it has.
    """

    id: str
    cells: int = 0
    border_cells: int = 0
    failed: int = 0
    labels: tuple[LabelShare, ...] = ()
    error: str = ""


def summarize(answers: CellAnswers | Failure) -> FieldSummary:
    """Count the cells of a field."""
    if isinstance(answers, Failure):
        return FieldSummary(id=answers.id, error=str(answers.error))
    if answers.failure is not None:
        return summarize(answers.failure)
    pairs = zip(answers.segmentation.cells, answers.answers, strict=True)
    return count_cells(
        answers.id,
        (
            (cell.border, None if isinstance(answer, Failure) else tuple(label.hpa_name for label in answer))
            for cell, answer in pairs
        ),
    )


def count_cells(
    id: str,  # noqa: A002 - the field's own word
    cells: Iterable[tuple[bool, tuple[str, ...] | None]],
) -> FieldSummary:
    """Count cells.

    Parameters
    ----------
    id : str
        The field's id.
    cells : iterable of (bool, tuple of str or None)
        Whether the cell touches the border, and its labels; None for a cell without an answer.
    """
    total: Counter[bool] = Counter()
    shown: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    failed = 0
    for border, labels in cells:
        if labels is None:
            failed += 1
            continue
        total[border] += 1
        shown[border].update(labels)
    names = sorted(shown[False] | shown[True], key=lambda name: (-shown[False][name], -shown[True][name], name))
    return FieldSummary(
        id=id,
        cells=total[False],
        border_cells=total[True],
        failed=failed,
        labels=tuple(_share(name, shown[False][name], total[False], shown[True][name]) for name in names),
    )


def counts_of(answers: CellAnswers | Failure) -> CellCounts:
    """Count the cells of a field for its result."""
    summary = summarize(answers)
    if isinstance(answers, Failure):
        return CellCounts(error=escaped(summary.error))
    found = answers.segmentation
    height, width = found.labels.shape
    notes = tuple(map(escaped, found.notes))
    error = "" if found.cells else "; ".join(("the field has no cells", *notes))
    schemes = [answer.scheme for answer in answers.answers if isinstance(answer, Prediction)]
    counts = shares_of(summary, schemes[0].names if schemes else ())
    return replace(counts, height=height, width=width, error=error, notes=notes if found.cells else ())


def shares_of(summary: FieldSummary, names: Sequence[str]) -> CellCounts:
    """Return counts by the indices of classes, without the size of the field.

    Parameters
    ----------
    summary : FieldSummary
        The counts by names.
    names : sequence of str
        All classes, in the order of the scheme.
    """
    indices = {name: at for at, name in enumerate(names)}
    return CellCounts(
        cells=summary.cells,
        border_cells=summary.border_cells,
        failed=summary.failed,
        shares=tuple(
            CellShare(
                index=indices[one.label],
                shown=one.shown,
                share=round(one.share, _DIGITS),
                low=round(one.low, _DIGITS),
                high=round(one.high, _DIGITS),
                border_shown=one.border_shown,
            )
            for one in summary.labels
        ),
        mixed=tuple(indices[one.label] for one in summary.labels if one.low > _SOME and one.high < 1 - _SOME),
    )


def _share(label: str, shown: int, cells: int, border_shown: int) -> LabelShare:
    low, high = wilson_interval(shown, cells)
    share = shown / cells if cells else 0.0
    return LabelShare(label=label, shown=shown, share=share, low=low, high=high, border_shown=border_shown)


class SummaryWriter:
    """Writes one row per field and label, and one with an empty label for a field none of whose cells has a label."""

    def __init__(self, rows: csv.DictWriter[str]) -> None:
        self._rows = rows
        rows.writeheader()

    def write(self, answers: CellAnswers | Failure) -> None:
        """Write the rows of a field."""
        summary = summarize(answers)
        counts = {
            "id": summary.id,
            "cells": summary.cells,
            "border_cells": summary.border_cells,
            "failed_cells": summary.failed,
            "error": summary.error,
        }
        for share in summary.labels:
            self._rows.writerow(
                {
                    **counts,
                    "label": share.label,
                    "shown": share.shown,
                    **{name: round(getattr(share, name), _DIGITS) for name in ("share", "low", "high")},
                    "border_shown": share.border_shown,
                }
            )
        if not summary.labels:
            self._rows.writerow(counts)


SUMMARY_COLUMNS = (
    *("id", "cells", "border_cells", "failed_cells", "label", "shown", "share", "low", "high", "border_shown", "error"),
)
"""The columns of the table of `open_summary`."""


@contextmanager
def open_summary(path: Path) -> Iterator[SummaryWriter]:
    """Open a CSV of the cells of each field, counted; it appears complete when the block ends, or not at all.

    Raises
    ------
    OutputError
        No file can be written there.
    """
    with (
        atomic_write(path) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        yield SummaryWriter(csv.DictWriter(file, SUMMARY_COLUMNS, lineterminator="\n"))
