"""Draws views of fields that differ as microscopes, cell lines and stainings do, so that a fit does not learn these."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.starter.fields import Fields
from hpa_sdk.preprocessing import Image
from training.data.dataset import Targets
from training.network_forms import LIGHT_SIDE

_YELLOW = 3
_WHITE = np.float32(255)


@dataclass(frozen=True, slots=True)
class Source:
    """Fields, and how they are drawn and shown.

    Attributes
    ----------
    fields : Fields
        The fields.
    probabilities : numpy.ndarray
        Of each field in a draw, with the sum 1.
    share : float
        Of the source among the views.
    zoom : tuple of float
        Smallest and largest side of a cell in the view over its side in the field; below 1, mirrored fields fill the
        rest.
    """

    fields: Fields
    probabilities: npt.NDArray[np.float64]
    share: float
    zoom: tuple[float, float]


def even_over_classes(targets: Targets) -> npt.NDArray[np.float64]:
    """Give the probability of each field so that a class with few fields is drawn about as often as others."""
    weights = (targets / np.maximum(targets.sum(axis=0), 1)).max(axis=1).astype(np.float64)
    probabilities: npt.NDArray[np.float64] = weights / weights.sum()
    return probabilities


def draw_view(sources: tuple[Source, ...], side: int, rng: np.random.Generator) -> tuple[Image, Targets]:
    """Draw one view, in a third of the draws of two fields of one source, and its labels."""
    source = sources[rng.choice(len(sources), p=[source.share for source in sources])]
    image, targets = _one(source, side, rng)
    if _happens(1 / 3, rng):
        other, more = _one(source, side, rng)
        image = _beside(image, other, rng)
        targets = np.maximum(targets, more)
    return _as_recorded(image, rng), targets


def _one(source: Source, side: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], Targets]:
    row = int(rng.choice(len(source.fields), p=source.probabilities))
    low, high = np.log(source.zoom)
    return _turned(source.fields.images[row], side, float(np.exp(rng.uniform(low, high))), rng), source.fields.targets[
        row
    ]


def _turned(image: npt.NDArray[np.uint8], side: int, zoom: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Turn a field by any angle, mirror, stretch and zoom it, and cut out a square."""
    # At zoom 1 the whole field fills the image that the network sees in serving.
    scale = zoom * LIGHT_SIDE / image.shape[0]
    if scale < 1:
        smaller = round(image.shape[0] * scale)
        image = np.asarray(cv2.resize(image, (smaller, smaller), interpolation=cv2.INTER_AREA), np.uint8)
        scale = zoom * LIGHT_SIDE / smaller
    angle = rng.uniform(0, 2 * np.pi)
    stretch = np.exp(rng.normal(0, 0.07))
    mirror = rng.choice((-1.0, 1.0))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([scale * stretch * mirror, scale / stretch])
    # Any place of the field may be in the middle of the view, except near its border.
    reach = max(0.0, 1 - side / LIGHT_SIDE / zoom) / 2 + 0.08
    middle = image.shape[0] * (0.5 + rng.uniform(-reach, reach, 2))
    offset = side / 2 - matrix @ middle
    return np.asarray(
        cv2.warpAffine(
            image,
            np.column_stack([matrix, offset]),
            (side, side),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        ),
        np.uint8,
    )


def _happens(chance: float, rng: np.random.Generator) -> bool:
    return bool(rng.random() < chance)


def _beside(
    image: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8], rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Put two fields beside each other, as cells of two kinds in one."""
    cut = round(image.shape[0] * rng.uniform(0.35, 0.65))
    return np.concatenate([image[:cut], other[cut:]])


def _as_recorded(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> Image:
    """Change focus, staining, exposure, stray light and noise of each plane, and leave the yellow one out at times."""
    colours = image.shape[-1]
    levels = (np.arange(256, dtype=np.float32) / _WHITE)[:, None]
    gamma = np.exp(rng.normal(0, 0.2, colours))
    gain = np.exp(rng.normal(0, 0.35, colours))
    levels = levels**gamma * gain
    if _happens(0.3, rng):  # stray light
        levels = levels + rng.uniform(0, 0.06, colours)
    if _happens(0.2, rng):  # a dark level set too high
        levels = levels - rng.uniform(0, 0.04, colours)
    view = cv2.LUT(image, levels.astype(np.float32)[None])
    if _happens(0.3, rng):
        view = cv2.GaussianBlur(view, (0, 0), rng.uniform(0.3, 1.1))
    if _happens(0.3, rng):
        view = view + np.float32(rng.uniform(0, 0.04)) * rng.standard_normal(view.shape, np.float32)
    if _happens(0.3, rng):
        view[..., _YELLOW] = 0
    elif _happens(0.1, rng):
        view[..., 0] = 0
    return np.asarray(np.clip(view, 0, 1), np.float32)
