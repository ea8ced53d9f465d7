"""Measures how far people agree, beyond what chance alone would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from hpa_sdk.review.consensus import SettledField
from hpa_sdk.review.figures import label_matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAgreement:
    """How far two people agree on the fields to which both gave labels.

    Attributes
    ----------
    people : tuple of str
        Their names.
    fields : int
        Number of these fields.
    same : int
        On how many of them both gave the same labels.
    kappa : dict of int to float
        Cohen's kappa of each class that one of them gave; a class that both gave to every field has none.
    """

    people: tuple[str, str]
    fields: int
    same: int
    kappa: dict[int, float]


def agreement(fields: Sequence[SettledField], classes: int) -> list[PairAgreement]:
    """Compare every two people who gave labels to the same fields.

    Parameters
    ----------
    fields : sequence of SettledField
        The reviewed fields.
    classes : int
        Number of classes of the label scheme.
    """
    given: dict[str, dict[int, frozenset[int]]] = {}
    for at, field in enumerate(fields):
        for review in field.reviews:
            if review.verdict in {"right", "labels"}:
                given.setdefault(review.reviewer, {})[at] = frozenset(review.labels)
    found = []
    for people in combinations(sorted(given), 2):
        if shared := sorted(given[people[0]].keys() & given[people[1]].keys()):
            first, second = (label_matrix([given[person][at] for at in shared], classes) for person in people)
            kappas = {
                label: cohen_kappa(first[:, label], second[:, label])
                for label in np.flatnonzero((first | second).any(0)).tolist()
            }
            kappa = {label: value for label, value in kappas.items() if value is not None}
            same = int((first == second).all(1).sum())
            found.append(PairAgreement(people=people, fields=len(shared), same=same, kappa=kappa))
    return found


def cohen_kappa(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float | None:
    """Return Cohen's kappa of two people who decide on one class.

    (p_o - p_e) / (1 - p_e), with p_o the share of fields on which they agree, and p_e the share on which they would
    agree by chance, given how often each of them says yes: Cohen, Educational and Psychological Measurement 20 (1960)
    37.

    Parameters
    ----------
    first, second : numpy.ndarray
        bool of shape (fields,): whether each gave the class to the field.

    Returns
    -------
    float or None
        1: they agree on every field, 0: as often as by chance. None if both always give the same decision, so that
        chance alone explains everything.
    """
    observed = float((first == second).mean())
    yes = first.mean(), second.mean()
    expected = float(yes[0] * yes[1] + (1 - yes[0]) * (1 - yes[1]))
    return None if expected == 1 else (observed - expected) / (1 - expected)
