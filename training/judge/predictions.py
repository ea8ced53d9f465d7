"""Predicts many fields with a network, in batches that are read ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import keras
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Sample
from hpa_sdk.inference.pipeline import run_in_batches
from hpa_sdk.inference.threads import usable_cores
from hpa_sdk.labels import Label
from hpa_sdk.prediction import Failure, Probabilities
from hpa_sdk.preprocessing import Image, White
from training.data.augmentation import view
from training.data.steady_planes import SteadyPlanes
from training.judge.fitted_run import FittedRun

_PREDICTED_AT_ONCE = 16

Field = TypeVar("Field")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers of a network for some fields.

    Attributes
    ----------
    probabilities : numpy.ndarray
        float32 of shape (fields, 28); 0 if there is no answer.
    answered : numpy.ndarray
        bool of shape (fields,).
    failures : tuple of Failure
        Why there is no answer, for each field without one.
    """

    probabilities: Probabilities
    answered: npt.NDArray[np.bool_]
    failures: tuple[Failure, ...]


def predict_fields(
    run: FittedRun,
    samples: Sequence[Sample],
    *,
    views: int = 1,
    white: White | None = None,
    planes: SteadyPlanes | None = None,
) -> Answers:
    """Predict fields; one that can't be read does not stop the others.

    Parameters
    ----------
    run : FittedRun
        The network, and the preprocessing on its card.
    samples : sequence of Sample
        The fields.
    views : int
        How many of the eight views of each field to average over, 1 to 8; 1 is the field as it is.
    white : optional
        White level of 16-bit planes.
    planes : SteadyPlanes, optional
        Reads the planes, so that several networks see the same planes of the same fields. Default: each plane is read
        in its current state.

    Raises
    ------
    HpaError
        No field can be read; this is the error of the first one.
    """
    read_all = read_planes if planes is None else planes.read

    def read(sample: Sample) -> Image | Failure:
        try:
            return run.card.preprocessing(read_all(sample), white=white, where=sample.files[0])
        except HpaError as error:
            return Failure(sample.id, error)

    answers = predict_images(run.network, samples, read, views=views)
    if len(answers.failures) == len(samples) > 0:
        raise answers.failures[0].error
    return answers


def predict_images(
    network: keras.Model, fields: Sequence[Field], read: Callable[[Field], Image | Failure], *, views: int
) -> Answers:
    """Predict the images of some fields.

    Parameters
    ----------
    network : keras.Model
        With one output: probabilities.
    fields : sequence
        The arguments of `read`.
    read : callable
        Gives the image of a field, float32 of shape (size, size, colours), or why there is none; called in threads.
    views : int
        How many of the `training.data.augmentation.VIEWS` of each image to average over, 1 to 8; the first is the image
        as it is.
    """

    def predict(images: list[Image]) -> list[npt.NDArray[np.float32]]:
        if not images:
            return []
        batch = np.stack(images)
        seen = [network.predict_on_batch(view(batch, number)) for number in range(views)]
        return list(np.mean(seen, axis=0, dtype=np.float32))

    answers = run_in_batches(
        iter(fields), prepare=read, run=predict, batch_size=_PREDICTED_AT_ONCE, workers=usable_cores()
    )
    probabilities = np.zeros((len(fields), len(Label)), np.float32)
    failures: dict[int, Failure] = {}
    for row, answer in enumerate(tqdm(answers, total=len(fields), unit=" fields", disable=None)):
        if isinstance(answer, Failure):
            failures[row] = answer
        else:
            probabilities[row] = answer
    answered = ~np.isin(np.arange(len(fields)), list(failures))
    return Answers(probabilities=probabilities, answered=answered, failures=tuple(failures.values()))
