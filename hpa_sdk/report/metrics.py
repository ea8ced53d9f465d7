"""Judges answers: how sure each is, how wrong, and how good they are class by class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import TableError
from hpa_sdk.fields.exported_files import check_scheme
from hpa_sdk.fields.tables import parse_labels_of, read_columns
from hpa_sdk.labels import AnyLabel, LabelScheme

UNSURE = 0.1
"""A field is unsure where one of its margins is smaller than this."""

Labels = frozenset[AnyLabel]


def read_truth(table: Path, scheme: LabelScheme) -> dict[str, Labels]:
    """Read a table of labels: ``Id``, and in ``Target`` class indices with spaces between, or names with ``;``.

    Raises
    ------
    TableError
        The table can't be read, an id occurs twice, or a label is not one of the scheme: the message names the line.
        Or a file beside the table says that its labels are of another scheme.
    """
    check_scheme(table, scheme)
    truth: dict[str, Labels] = {}
    for line, (name, target) in read_columns(table, "Id", "Target"):
        if name in truth:
            raise TableError(f"line {line} repeats the id {name}", where=table, remedy="Give each field one row.")
        truth[name] = frozenset(parse_labels_of(scheme, target, line, table))
    return truth


def margins(probabilities: Sequence[float], thresholds: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the distance of each probability from its threshold, as a share of the distance to certainty.

    Returns
    -------
    numpy.ndarray
        float64, one for each class: 0 at the threshold, 1 at probability 1, -1 at probability 0.
    """
    found, limit = np.asarray(probabilities), np.asarray(thresholds)
    above = found >= limit
    reach = np.where(above, 1 - limit, limit)
    # A threshold of 0 or 1 leaves no distance: a probability there is as sure as can be.
    return np.where(reach > 0, (found - limit) / np.where(reach > 0, reach, 1), np.where(above, 1.0, -1.0))


def wrong_margin(margin: npt.NDArray[np.float64], labels: Labels, truth: Labels) -> float:
    """Sum the margins of all wrong decisions: 0 where every label is right; a sure mistake weighs most."""
    return float(sum(abs(margin[int(label)]) for label in labels ^ truth))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures:
    """Figures of one class; precision, recall and F1 are 0 to 1, and None where they would divide by 0."""

    support: int
    predicted: int
    right: int

    @property
    def precision(self) -> float | None:
        """Share of the fields with this answer that have the class."""
        return self.right / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """Share of the fields that have the class that were found."""
        return self.right / self.support if self.support else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both: 2 right / (predicted + support)."""
        return 2 * self.right / (self.predicted + self.support) if self.support else None


def judge(pairs: Iterable[tuple[Labels, Labels]], classes: int) -> tuple[ClassFigures, ...]:
    """Judge answers against the truth, class by class.

    Parameters
    ----------
    pairs : iterable of two frozensets of Label
        Answer and truth of each field.
    classes : int
        Number of classes of the label scheme.
    """
    counts = np.zeros((classes, 3), int)
    for labels, truth in pairs:
        for at, found in enumerate((truth, labels, labels & truth)):
            counts[[int(label) for label in found], at] += 1
    return tuple(
        ClassFigures(support=support, predicted=predicted, right=right) for support, predicted, right in counts.tolist()
    )


def overall(figures: Sequence[ClassFigures]) -> tuple[float | None, float | None]:
    """Return micro F1 over all decisions, and macro F1 over the classes that occur in truth."""
    total = ClassFigures(
        support=sum(found.support for found in figures),
        predicted=sum(found.predicted for found in figures),
        right=sum(found.right for found in figures),
    )
    of_classes = [found.f1 for found in figures if found.f1 is not None]
    return total.f1, sum(of_classes) / len(of_classes) if of_classes else None
