"""Judges a network on labelled fields: predicts them, and computes every figure once for all that shows it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.metrics import hamming_loss
from tqdm import tqdm

from hpa_sdk.contract import RUN_CARD, RUN_NETWORK, RUN_RECORD, image_shape
from hpa_sdk.errors import HpaError
from hpa_sdk.labels import Label
from hpa_sdk.model_card import ModelCard
from hpa_sdk.pipeline import run_in_batches
from hpa_sdk.planes import read_planes
from hpa_sdk.prediction import Failure
from hpa_sdk.preprocessing import Image
from hpa_sdk.samples import Sample
from training.augmentation import view
from training.calibration import Reliability, measure_reliability
from training.dataset import Dataset, Targets
from training.errors import RunError
from training.metrics import (
    Averages,
    ClassFigures,
    Present,
    Probabilities,
    batch_f1,
    check_judged,
    judge_classes,
    macro_averages,
    micro_averages,
)
from training.split import Rows, SplitName, split

Part = Literal["all", "training", "validation"]
"""Which fields of a data set to judge on: all, or a part of the split that the run was fitted with."""

_PREDICTED_AT_ONCE = 16
_STUDY_BATCH = 10
_PRESENT_ABOVE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All figures of one network on some fields.

    Attributes
    ----------
    data : str
        Name of the data and of the part of it.
    fields : int
        Number of fields.
    micro : Averages
        Over all decisions, also those on classes without a field.
    macro : Averages
        Mean over the classes that have a field.
    binary_accuracy : float
        Share of right decisions where a class counts as present above 0.5, as in the study.
    batch_f1 : float
        The study's F1: micro F1 above 0.5 of each ten fields, averaged over these batches.
    classes : tuple of ClassFigures
        In the order of `Label`.
    without_field : tuple of str
        Names of the classes that no field has.
    pairs, predicted_pairs : tuple of tuple of int
        28 x 28: the number of fields that have both classes, in truth and as predicted.
    reliability : tuple of Reliability
        Of the probabilities as they are, then at the card's temperature if it has one.
    """

    data: str
    fields: int
    micro: Averages
    macro: Averages
    binary_accuracy: float
    batch_f1: float
    classes: tuple[ClassFigures, ...]
    without_field: tuple[str, ...]
    pairs: tuple[tuple[int, ...], ...]
    predicted_pairs: tuple[tuple[int, ...], ...]
    reliability: tuple[Reliability, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedRun:
    """A finished run.

    Attributes
    ----------
    folder : pathlib.Path
        The run folder.
    network : keras.Model
        Input float32 (N, 299, 299, 3), output float32 (N, 28): probabilities.
    card : ModelCard
        What the fit says of it.
    split : str
        How it parted its data; the study's split where the record says nothing.
    """

    folder: Path
    network: keras.Model
    card: ModelCard
    split: SplitName


@dataclass(frozen=True)
class _Record:
    split: SplitName = "study"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a network says of some fields.

    Attributes
    ----------
    probabilities : numpy.ndarray
        float32 of shape (fields, 28); 0 where there is no answer.
    answered : numpy.ndarray
        bool of shape (fields,).
    failures : tuple of Failure
        Why there is no answer, for each field without one.
    """

    probabilities: Probabilities
    answered: npt.NDArray[np.bool_]
    failures: tuple[Failure, ...]


def judge_fields(
    truth: Targets,
    probabilities: Probabilities,
    *,
    thresholds: Sequence[float],
    data: str,
    temperature: float | None = None,
) -> Evaluation:
    """Judge probabilities against the truth.

    Parameters
    ----------
    truth, probabilities : numpy.ndarray
        float32 of shape (fields, 28).
    thresholds : sequence of float
        The probability from which each class counts as present (``probability >= threshold``).
    data : str
        Name of the data and of the part of it.
    temperature : float, optional
        The card's, to show what it does to the reliability.

    Raises
    ------
    JudgementError
        The arrays can't be judged; see `training.metrics.check_judged`.
    """
    present, probabilities = check_judged(truth, probabilities)
    classes = judge_classes(present, probabilities, thresholds)
    temperatures = (1.0,) if temperature is None else (1.0, temperature)
    return Evaluation(
        data=data,
        fields=len(present),
        micro=micro_averages(present, probabilities, thresholds),
        macro=macro_averages(classes),
        binary_accuracy=float(1 - hamming_loss(present, probabilities > _PRESENT_ABOVE)),
        batch_f1=_study_f1(present, probabilities),
        classes=classes,
        without_field=tuple(figures.label for figures in classes if not figures.support),
        pairs=_pairs(present),
        predicted_pairs=_pairs(probabilities >= np.asarray(thresholds, np.float32)),
        reliability=tuple(measure_reliability(truth, probabilities, temperature=divisor) for divisor in temperatures),
    )


def _study_f1(present: Present, probabilities: Probabilities) -> float:
    truth = present.astype(np.float32)
    batches = (slice(at, at + _STUDY_BATCH) for at in range(0, len(truth), _STUDY_BATCH))
    return float(np.mean([float(batch_f1(truth[batch], probabilities[batch])) for batch in batches]))


def _pairs(present: Present) -> tuple[tuple[int, ...], ...]:
    counts = present.astype(np.int64)
    return tuple(tuple(row) for row in (counts.T @ counts).tolist())


def read_run(run: Path) -> FittedRun:
    """Read what a fit left in its run folder.

    Raises
    ------
    RunError
        The folder holds no finished run, or a network of another form.
    ModelCardError
        The card can't be used.
    """
    for name in (RUN_RECORD, RUN_NETWORK, RUN_CARD):
        if not (run / name).is_file():
            raise RunError(
                f"the run holds no {name}", where=run, remedy="Name the folder of a finished python -m training fit."
            )
    card = ModelCard.from_json((run / RUN_CARD).read_bytes(), where=str(run / RUN_CARD))
    try:
        record = msgspec.json.decode((run / RUN_RECORD).read_bytes(), type=_Record)
    except msgspec.DecodeError as error:
        raise RunError(f"the record can't be read ({error})", where=run / RUN_RECORD, remedy="Fit it again.") from error
    try:
        network = keras.saving.load_model(run / RUN_NETWORK, compile=False)
    except Exception as error:  # Keras raises whatever its layers, zipfile or h5py do
        raise RunError(
            f"the network can't be read ({error})", where=run / RUN_NETWORK, remedy="Fit it again."
        ) from error
    shapes = network.input_shape, network.output_shape
    expected = (None, *image_shape(card.preprocessing)), (None, len(Label))
    if shapes != expected:
        raise RunError(
            f"the network turns {shapes[0]} into {shapes[1]}, not {expected[0]} into {expected[1]}",
            where=run / RUN_NETWORK,
            remedy="Name a run of one of the networks in training.networks.",
        )
    return FittedRun(folder=run, network=network, card=card, split=record.split)


def part_rows(dataset: Dataset, part: Part, split_name: SplitName) -> Rows:
    """Give the rows of a part of a data set, in the order of its table.

    Raises
    ------
    RunError
        The data set has one field only, which can't be split.
    """
    if part == "all":
        return np.arange(len(dataset.samples))
    if len(dataset.samples) == 1:
        raise RunError("one field can't be split", where=dataset.name, remedy="Judge all of the data: --part all.")
    training, validation = split(dataset.targets, split_name)
    return np.sort(training if part == "training" else validation)


def predict_fields(run: FittedRun, samples: Sequence[Sample], *, views: int = 1) -> Answers:
    """Predict fields; one that can't be read costs no other its answer.

    Parameters
    ----------
    run : FittedRun
        The network, and the preprocessing that its card says.
    samples : sequence of Sample
        The fields.
    views : int
        How many of the eight views of each field to average over; see `predict_views`.
    """

    def read(sample: Sample) -> Image | Failure:
        try:
            return run.card.preprocessing(read_planes(sample), where=sample.files[0])
        except HpaError as error:
            return Failure(sample.id, error)

    def predict(images: list[Image]) -> list[npt.NDArray[np.float32]]:
        return list(predict_views(run.network, np.stack(images), views)) if images else []

    answers = run_in_batches(
        iter(samples), prepare=read, run=predict, batch_size=_PREDICTED_AT_ONCE, workers=os.cpu_count() or 1
    )
    probabilities = np.zeros((len(samples), len(Label)), np.float32)
    failures: dict[int, Failure] = {}
    for row, answer in enumerate(tqdm(answers, total=len(samples), unit=" fields", disable=None)):
        if isinstance(answer, Failure):
            failures[row] = answer
        else:
            probabilities[row] = answer
    answered = ~np.isin(np.arange(len(samples)), list(failures))
    return Answers(probabilities=probabilities, answered=answered, failures=tuple(failures.values()))


def predict_views(network: keras.Model, images: npt.NDArray[np.float32], views: int) -> Probabilities:
    """Predict a batch of images from several sides, and average the probabilities.

    Parameters
    ----------
    network : keras.Model
        With one output: probabilities.
    images : numpy.ndarray
        float32 of shape (N, 299, 299, 3).
    views : int
        How many of the `training.augmentation.VIEWS` to take, 1 to 8; the first is the image as it is.
    """
    seen = [network.predict_on_batch(view(images, number)) for number in range(views)]
    mean: Probabilities = np.mean(seen, axis=0, dtype=np.float32)
    return mean
