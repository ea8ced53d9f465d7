"""Judges models on reviewed fields: F1 with bootstrap intervals, and confusions class by class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpa_sdk.inference.prepared_field import ADAPTED_TO, WHOLE_FIELD
from hpa_sdk.results.cell_counts import LABELS_OF_CELLS
from hpa_sdk.results.result import Result
from hpa_sdk.review.consensus import SettledField
from hpa_sdk.review.record import picture_of

RESAMPLES = 1000
"""Number of bootstrap resamples."""

LEAST_OTHERS = 10
"""Fewest fields that a model was not adapted to on which it gets figures of their own."""

_SEED = 20180927
_LEVELS = (2.5, 97.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure and its 95 % interval; None where it is not defined.

    Percentile bootstrap over fields: Efron, Annals of Statistics 7 (1979) 1. It shows how much the figure depends on
    which fields were reviewed, not whether these fields stand for others.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassConfusion:
    """One class over the judged fields.

    Attributes
    ----------
    true_positives, false_positives, false_negatives, true_negatives : int
        Number of fields.
    f1 : Estimate
        2 TP / (2 TP + FP + FN); not defined for a class that no field has.
    instead : dict of int to int
        Of the fields without the class that the model gave it to: how many have another class that the model missed.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    f1: Estimate
    instead: dict[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFigures:
    """How good the answers of one model are on reviewed fields.

    Attributes
    ----------
    model : str
        SHA-256 of its file; empty where it is not known.
    reviewed : int
        Number of fields on which people decided whether its answer is right.
    right : int
        Of these, the fields on which it gave exactly the labels that people settled on.
    judged : int
        Of the reviewed fields, those with settled labels: F1 needs them. Of the others it is only known that the
        answer is wrong, so F1 is too high by their share.
    as_cells : int
        Of the reviewed fields, those whose whole picture a model for single cells took as the crop of one cell.
    adapted : int
        Of the reviewed fields, those that the model was adapted to: the figures are too good by them.
    others : ModelFigures or None
        The figures on the other reviewed fields; None if it was adapted to none, or if fewer than `LEAST_OTHERS` are
        left.
    micro_f1, macro_f1 : Estimate
        Over all decisions, and the mean over the classes that occur in the settled labels.
    classes : dict of int to ClassConfusion
        The classes that were answered or settled on at least once.
    """

    model: str
    reviewed: int
    right: int
    judged: int
    as_cells: int
    adapted: int
    others: ModelFigures | None
    micro_f1: Estimate
    macro_f1: Estimate
    classes: dict[int, ClassConfusion]


def judge_models(
    fields: Sequence[SettledField], results: Iterable[Result], classes: int, *, resamples: int = RESAMPLES
) -> list[ModelFigures]:
    """Judge every model that answered reviewed fields, the one with the most of them first.

    Parameters
    ----------
    fields : sequence of SettledField
        The reviewed fields.
    results : iterable of Result
        Present results of these fields, which are judged instead of an earlier answer of the same model. One of a model
        that nobody reviewed is judged too, by what people said about the same picture; another picture under the same
        id is not. Labels that were made of the answers for cells are no answer of a model for the field.
    classes : int
        Number of classes of the label scheme.
    resamples : int
        Number of bootstrap resamples; 0 for no intervals.
    """
    present: dict[tuple[str, object], Result] = {(result.id, picture_of(result)): result for result in results}
    answers: dict[str, list[_Answer]] = {}
    for field in fields:
        given = [review.result for review in field.reviews if not is_of_cells(review.result)]
        # The present answer of a model counts, which other thresholds can give.
        if now := present.get((field.field, field.picture)):
            given.append(now)
        for model, result in {one.model_sha256: one for one in given if one.error is None}.items():
            answers.setdefault(model, []).append((result, field))
    found = [_judge(model, pairs, classes, resamples) for model, pairs in answers.items()]
    return sorted((figures for figures in found if figures.reviewed), key=lambda one: (-one.reviewed, one.model))


def is_of_cells(result: Result) -> bool:
    """Whether the labels of a result were made of the answers for its cells, as a report of cells shows them."""
    return LABELS_OF_CELLS in result.notes


_Answer = tuple[Result, SettledField]


def _is_decided(result: Result, field: SettledField) -> bool:
    """Whether people decided on an answer: they settled the labels, or called this label set wrong."""
    return field.state == "labels" or (field.state == "wrong" and frozenset(result.indices) in field.rejected)


def _judge(model: str, answers: Sequence[_Answer], classes: int, resamples: int) -> ModelFigures:
    decided = [pair for pair in answers if _is_decided(*pair)]
    others = [pair for pair in decided if ADAPTED_TO not in pair[0].notes]
    adapted = len(decided) - len(others)
    settled = [(frozenset(result.indices), field.labels) for result, field in decided if field.state == "labels"]
    found, has = (label_matrix([pair[side] for pair in settled], classes) for side in (0, 1))
    # For each field and class: true positive, false positive, false negative.
    counts = np.stack([found & has, found & ~has, ~found & has]).astype(np.float64)
    total = counts.sum(1)
    drawn = _resampled(counts, resamples) if settled and resamples else None
    f1 = _estimates(_f1(total), None if drawn is None else _f1(drawn))
    micro = _estimates(_f1(total.sum(-1, keepdims=True)), None if drawn is None else _f1(drawn.sum(-1, keepdims=True)))
    macro = _estimates(_macro(total), None if drawn is None else _macro(drawn))
    # instead[c, d]: fields where c is a false positive and d is missed.
    instead = counts[1].T @ counts[2]
    return ModelFigures(
        model=model,
        reviewed=len(decided),
        right=sum(answer == labels for answer, labels in settled),
        judged=len(settled),
        as_cells=sum(WHOLE_FIELD in result.notes for result, _ in decided),
        adapted=adapted,
        others=_judge(model, others, classes, resamples) if adapted and len(others) >= LEAST_OTHERS else None,
        micro_f1=micro[0],
        macro_f1=macro[0],
        classes={
            at: ClassConfusion(
                true_positives=int(total[0, at]),
                false_positives=int(total[1, at]),
                false_negatives=int(total[2, at]),
                true_negatives=len(settled) - int(total[:, at].sum()),
                f1=f1[at],
                instead={int(other): int(instead[at, other]) for other in np.flatnonzero(instead[at])},
            )
            for at in np.flatnonzero(total.sum(0)).tolist()
        },
    )


def label_matrix(sets: Sequence[frozenset[int]], classes: int) -> npt.NDArray[np.bool_]:
    """Return the label sets as a bool matrix of shape (fields, classes)."""
    found = np.zeros((len(sets), classes), bool)
    for row, labels in enumerate(sets):
        found[row, list(labels)] = True
    return found


def _resampled(counts: npt.NDArray[np.float64], resamples: int) -> npt.NDArray[np.float64]:
    """Return the sums over fields of each resample, of shape (3, resamples, classes)."""
    fields = counts.shape[1]
    rng = np.random.default_rng(_SEED)
    # How often each field is drawn, which is all that a sum needs to know of a resample.
    weights = rng.multinomial(fields, np.full(fields, 1 / fields), resamples).astype(np.float64)
    return weights @ counts


def _f1(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return 2 TP / (2 TP + FP + FN) over the first axis; nan for a class that no field has."""
    hit, extra, missed = counts
    with np.errstate(invalid="ignore"):
        return np.where(hit + missed > 0, 2 * hit / (2 * hit + extra + missed), np.nan)


def _macro(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean F1 over the classes that occur, with one value in the last axis."""
    f1 = _f1(counts)
    occurs = ~np.isnan(f1)
    with np.errstate(invalid="ignore"):
        mean = np.where(occurs, f1, 0).sum(-1) / occurs.sum(-1)
    return np.asarray(mean)[..., None]


def _estimates(values: npt.NDArray[np.float64], drawn: npt.NDArray[np.float64] | None) -> list[Estimate]:
    estimates = []
    for at, value in enumerate(values.tolist()):
        column = np.empty(0) if drawn is None else drawn[:, at]
        column = column[~np.isnan(column)]
        low, high = np.percentile(column, _LEVELS).tolist() if column.size else (None, None)
        defined = not np.isnan(value)
        estimates.append(
            Estimate(value=value if defined else None, low=low if defined else None, high=high if defined else None)
        )
    return estimates
