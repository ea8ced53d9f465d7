"""Compares networks on the same fields, as the comparison at the end of the study does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpa_sdk.fields.samples import Sample
from training.data.dataset import Targets
from training.judge.evaluation import Evaluation, judge_fields
from training.judge.predictions import Answers

FIRST_FIELDS = 10
"""Fields at the top of the table whose label sets the study prints."""


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
    """

    data: str
    fields: int
    networks: tuple[NetworkFigures, ...]
    first: tuple[ComparedField, ...]


def compare_networks(
    samples: Sequence[Sample],
    truth: Targets,
    networks: Sequence[ComparedNetwork],
    *,
    judged: npt.NDArray[np.bool_],
    data: str,
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

    Raises
    ------
    EvaluationError
        No field to judge was answered, or none of them has a class.
    """
    answered = np.logical_and.reduce([network.answers.answered for network in networks])
    rows = answered & judged
    sets = [network.answers.probabilities >= np.asarray(network.thresholds, np.float32) for network in networks]
    return Comparison(
        data=data,
        fields=int(rows.sum()),
        networks=tuple(
            _figures(
                network,
                judge_fields(
                    truth[rows], network.answers.probabilities[rows], thresholds=network.thresholds, data=data
                ),
            )
            for network in networks
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
