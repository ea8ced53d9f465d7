"""Joins each result with its thresholds and its truth, so that page and contact sheet show the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hpa_sdk.errors import SettingError
from hpa_sdk.report.metrics import UNSURE, Labels, margins, wrong_margin
from hpa_sdk.results.result import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A result, with its thresholds and truth.

    Attributes
    ----------
    result : Result
        The result.
    thresholds : tuple of float
        Those that its labels come from; empty if they are not known.
    truth : frozenset of Label or None
        Its true labels; None if they are not known.
    repeats_id : bool
        Whether there is truth for its id and other results have the id too, so that the truth can't be assigned.
    """

    result: Result
    thresholds: tuple[float, ...]
    truth: Labels | None
    repeats_id: bool = False

    @property
    def labels(self) -> Labels:
        """The labels that were predicted."""
        scheme = self.result.label_scheme
        return frozenset(scheme[index] for index in self.result.indices)

    @property
    def certainty(self) -> float | None:
        """The smallest margin, 0 to 1: how far the least sure decision is from its threshold."""
        if not (self.result.probabilities and self.thresholds):
            return None
        return float(np.abs(margins(self.result.probabilities, self.thresholds)).min())

    @property
    def is_unsure(self) -> bool:
        """Whether a decision is near its threshold."""
        return self.certainty is not None and self.certainty < UNSURE

    @property
    def wrong_margin(self) -> float | None:
        """How wrong the labels are, 0 if all are right; None if truth, thresholds or labels are missing."""
        if self.certainty is None or self.truth is None:
            return None
        return wrong_margin(margins(self.result.probabilities, self.thresholds), self.labels, self.truth)


def make_fields(
    results: Iterable[Result], *, thresholds: Sequence[float], truth: Mapping[str, Labels] | None
) -> list[Field]:
    """Join results, thresholds and truth.

    Parameters
    ----------
    results : iterable of Result
        The results.
    thresholds : sequence of float
        For results without their own; empty if they are not known.
    truth : mapping of str to frozenset of Label, optional
        The labels of fields by id. They count for no result if several have the id.

    Raises
    ------
    SettingError
        The labels of a result are not those that the thresholds give.
    """
    results = list(results)
    ids = Counter(result.id for result in results)
    fields = []
    for result in results:
        limits = result.thresholds or tuple(thresholds)
        if limits and result.probabilities and result.error is None:
            _check(result, limits)
        known = None if truth is None else truth.get(result.id)
        repeats = known is not None and ids[result.id] > 1
        fields.append(Field(result=result, thresholds=limits, truth=None if repeats else known, repeats_id=repeats))
    return fields


def sort_for_review(fields: Sequence[Field]) -> list[int]:
    """Return positions: the worst mistakes first where truth is known, else the least sure answers; failures last."""

    def interest(at: int) -> tuple[float, float]:
        certainty = fields[at].certainty
        return -(fields[at].wrong_margin or 0), math.inf if certainty is None else certainty

    return sorted(range(len(fields)), key=interest)


def _check(result: Result, limits: Sequence[float]) -> None:
    given = np.flatnonzero(np.asarray(result.probabilities, np.float32) >= np.asarray(limits, np.float32)).tolist()
    if given != list(result.indices):
        raise SettingError(
            "the labels in the results are not those that these thresholds give",
            where=result.id,
            remedy="Give --threshold as it was given to hpa predict, or the model that made the results.",
        )
