"""Formats an evaluation as a text table, and the figures of the classes as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.labels import Label
from training.judge.evaluation import Evaluation
from training.judge.metrics import Averages

_COLUMNS = ("support", "predicted", "precision", "recall", "f1", "average_precision", "threshold")


def write_classes(evaluation: Evaluation, path: Path) -> None:
    """Format the figures of each class as comma-separated rows; a cell is empty if there is no figure."""
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["index", "label", *_COLUMNS])
        for index, figures in enumerate(evaluation.classes):
            values = (getattr(figures, column) for column in _COLUMNS)
            rows.writerow([index, figures.label, *("" if value is None else value for value in values)])


def evaluation_table(evaluation: Evaluation) -> str:
    """Format an evaluation as text."""
    header = ("support", "predicted", "precision", "recall", "F1", "average precision", "threshold")
    lines = [f"{evaluation.fields:,} fields of {evaluation.data}", "", _line("class", header)]
    lines += [
        _line(
            f"{index:>2} {figures.label}",
            (
                f"{figures.support:,}",
                f"{figures.predicted:,}",
                *map(_digits, (figures.precision, figures.recall, figures.f1, figures.average_precision)),
                f"{figures.threshold:.3f}",
            ),
        )
        for index, figures in enumerate(evaluation.classes)
    ]
    occurring = len(Label) - len(evaluation.without_field)
    lines += [
        "",
        _line("micro, all decisions", ("", "", *_averages(evaluation.micro), "")),
        _line(f"macro, {occurring} classes", ("", "", *_averages(evaluation.macro), "")),
        "",
        f"batch F1 of the study (above 0.5)  {evaluation.batch_f1:.4f}",
        f"binary accuracy (above 0.5)        {evaluation.binary_accuracy:.4f}",
    ]
    lines += [
        f"calibration error                  {found.error:.4f} at temperature {found.temperature:.3f}"
        for found in evaluation.reliability
    ]
    if evaluation.without_field:
        lines += ["", f"No field has, so not judged: {'; '.join(evaluation.without_field)}"]
    return "\n".join(line.rstrip() for line in lines)


def _line(name: str, cells: Sequence[str]) -> str:
    widths = (8, 10, 10, 8, 8, 18, 10)
    return f"{name:<32}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _averages(averages: Averages) -> list[str]:
    return [_digits(value) for value in (averages.precision, averages.recall, averages.f1, averages.average_precision)]


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
