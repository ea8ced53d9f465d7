"""Answers fields with a fitted network, with and without their yellow plane."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import numpy.typing as npt

from benchmarks.starter.fields import Fields, Images
from hpa_sdk.prediction import Probabilities
from hpa_sdk.preprocessing import Image
from training.network_forms import LIGHT_PREPROCESSING

_AT_ONCE = 16
_YELLOW = 3

Answer = Callable[[Image], Probabilities]


def answering(network: keras.Model) -> Answer:
    """Give a function that answers a batch of images."""
    return lambda images: np.asarray(network.predict_on_batch(images), np.float32)


def probabilities(answer: Answer, fields: Fields, *, yellow: bool = True) -> Probabilities:
    """Answer fields as in serving: one view, resized without antialiasing.

    Parameters
    ----------
    answer : callable
        Gives the probabilities of a batch of images.
    fields : Fields
        The fields.
    yellow : bool
        Whether the yellow plane is seen; without it, it is black.
    """
    batches = np.array_split(np.arange(len(fields)), -(-len(fields) // _AT_ONCE))
    return np.concatenate([answer(_seen(fields.images[rows], yellow=yellow)) for rows in batches])


def _seen(images: Images, *, yellow: bool) -> Image:
    seen = np.stack([served(image) for image in images])
    if not yellow:
        seen[..., _YELLOW] = 0
    return seen


def served(image: npt.NDArray[np.uint8]) -> Image:
    """Turn an image of four planes into that of the light network, as serving does."""
    return LIGHT_PREPROCESSING(np.moveaxis(image, -1, 0))
