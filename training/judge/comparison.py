"""Compares networks on the same fields, as the comparison at the end of the study does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpa_sdk.adapt.figures import Change, Numbers, bootstrap_weights, macro_f1
from hpa_sdk.fields.samples import Sample
from training.data.dataset import Targets
from training.judge.evaluation import Evaluation, judge_fields
from training.judge.metrics import EvaluationError
from training.judge.predictions import Answers

FIRST_FIELDS = 10
"""Fields at the top of the table whose label sets the study prints."""

_PAIR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedNetwork:
    """One network of a comparison, with its answers.

    Attributes
    ----------
    run, architecture : str
        The run folder as it was given, and the network.
    parameters : int
        Number of weights.
    thresholds : tuple of float
        The probability from which each class counts as present.
    answers : Answers
        To all fields of the comparison.
    """

    run: str
    architecture: str
    parameters: int
    thresholds: tuple[float, ...]
    answers: Answers


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFigures:
    """The figures of one network, as in `Evaluation`."""

    run: str
    architecture: str
    parameters: int
    micro_f1: float
    macro_f1: float
    batch_f1: float
    binary_accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """By how much the second network differs from the first, on the same fields.

    Attributes
    ----------
    figure : str
        ``"micro F1"`` or ``"macro F1"``.
    difference : float
        Second minus first.
    low, high : float
        95 % interval, by a paired bootstrap over the fields.
    """

    figure: str
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedData:
    """The figures on one of several data sets.

    Attributes
    ----------
    data : str
        Its name.
    fields : int
        Number of fields that the figures are on; 0 if no field could be judged.
    networks : tuple of NetworkFigures
        In the given order; empty without fields.
    differences : tuple of Difference
        For two networks.
    """

    data: str
    fields: int
    networks: tuple[NetworkFigures, ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedField:
    """The label sets of one field.

    Attributes
    ----------
    id : str
        The sample's id.
    truth : tuple of int
        Class indices.
    predicted : tuple of tuple of int, or None
        Class indices from each network, in the order of the comparison; None where the field can't be read.
    """

    id: str
    truth: tuple[int, ...]
    predicted: tuple[tuple[int, ...], ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Networks side by side.

    Attributes
    ----------
    data : str
        Name of the data and of the part of it that the figures are on.
    fields : int
        Number of fields that the figures are on.
    networks : tuple of NetworkFigures
        In the given order.
    first : tuple of ComparedField
        The first ten fields of the table.
    differences : tuple of Difference
        For two networks.
    sources : tuple of ComparedData
        The figures on each data set, if there are several.
    """

    data: str
    fields: int
    networks: tuple[NetworkFigures, ...]
    first: tuple[ComparedField, ...]
    differences: tuple[Difference, ...]
    sources: tuple[ComparedData, ...]


def compare_networks(
    samples: Sequence[Sample],
    truth: Targets,
    networks: Sequence[ComparedNetwork],
    *,
    judged: npt.NDArray[np.bool_],
    data: str,
    sources: Mapping[str, npt.NDArray[np.bool_]] | None = None,
) -> Comparison:
    """Compare networks on the fields that all of them predicted.

    Parameters
    ----------
    samples : sequence of Sample
        The first ten fields of the table, then the others to judge.
    truth : numpy.ndarray
        float32 of shape (fields, 28).
    networks : sequence of ComparedNetwork
        The networks, with an answer to each field.
    judged : numpy.ndarray
        bool of shape (fields,): whether the figures are on this field too.
    data : str
        Name of the data and of the part of it that `judged` are.
    sources : mapping of str to numpy.ndarray, optional
        For each of several data sets, its name, and bool of shape (fields,): whether the field is of it.

    Raises
    ------
    EvaluationError
        No field to judge was answered, or none of them has a class.
    """
    answered = np.logical_and.reduce([network.answers.answered for network in networks])
    whole = _figures_on(answered & judged, truth, networks, data)
    sets = [_sets(network) for network in networks]
    return Comparison(
        data=data,
        fields=whole.fields,
        networks=whole.networks,
        differences=whole.differences,
        sources=tuple(
            _source_figures(answered & judged & of, truth, networks, name) for name, of in (sources or {}).items()
        ),
        first=tuple(
            ComparedField(
                id=sample.id,
                truth=_indices(truth[row]),
                predicted=tuple(_indices(predicted[row]) for predicted in sets) if answered[row] else None,
            )
            for row, sample in enumerate(samples[:FIRST_FIELDS])
        ),
    )


def _source_figures(
    rows: npt.NDArray[np.bool_], truth: Targets, networks: Sequence[ComparedNetwork], name: str
) -> ComparedData:
    try:
        return _figures_on(rows, truth, networks, name)
    except EvaluationError:  # no field, or none with a class: the other data sets still have figures
        return ComparedData(data=name, fields=0, networks=(), differences=())


def _figures_on(
    rows: npt.NDArray[np.bool_], truth: Targets, networks: Sequence[ComparedNetwork], data: str
) -> ComparedData:
    judged = [
        judge_fields(truth[rows], network.answers.probabilities[rows], thresholds=network.thresholds, data=data)
        for network in networks
    ]
    return ComparedData(
        data=data,
        fields=int(rows.sum()),
        networks=tuple(_figures(network, one) for network, one in zip(networks, judged, strict=True)),
        differences=_differences(truth[rows] > 0, [_sets(network)[rows] for network in networks]),
    )


def _sets(network: ComparedNetwork) -> npt.NDArray[np.bool_]:
    return np.asarray(network.answers.probabilities >= np.asarray(network.thresholds, np.float32))


def _differences(truth: npt.NDArray[np.bool_], sets: Sequence[npt.NDArray[np.bool_]]) -> tuple[Difference, ...]:
    if len(sets) != _PAIR:
        return ()
    weights = bootstrap_weights(len(truth))
    differences = []
    for name, figure in (("micro F1", _micro_f1), ("macro F1", macro_f1)):
        change = Change(*(figure(truth, predicted, weights) for predicted in sets))
        low, high = change.interval
        differences.append(Difference(figure=name, difference=change.gain, low=low, high=high))
    return tuple(differences)


def _micro_f1(truth: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_], weights: Numbers) -> Numbers:
    positive, found, both = (weights @ counted.sum(axis=1) for counted in (truth, predicted, truth & predicted))
    f1: Numbers = 2 * both / np.maximum(positive + found, 1)
    return f1


def _figures(network: ComparedNetwork, evaluation: Evaluation) -> NetworkFigures:
    return NetworkFigures(
        run=network.run,
        architecture=network.architecture,
        parameters=network.parameters,
        micro_f1=evaluation.micro.f1,
        macro_f1=evaluation.macro.f1,
        batch_f1=evaluation.batch_f1,
        binary_accuracy=evaluation.binary_accuracy,
    )


def _indices(row: npt.NDArray[np.float32] | npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(np.flatnonzero(row).tolist())
