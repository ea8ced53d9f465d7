"""Augments training images in ways that do not change their labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from hpa_sdk.preprocessing import Image

AugmentationName = Literal["none", "study", "dihedral_and_intensity"]

VIEWS = 8
"""Number of views of a square image: four turns, each as it is and mirrored."""

_BRIGHTEST = 1.05


def view(image: Image, number: int) -> Image:
    """Return one of the eight views of a square image.

    Parameters
    ----------
    image : numpy.ndarray
        Of shape (..., size, size, colours).
    number : int
        0 to 7: quarter turns, plus 4 for mirrored left to right first; 0 is the image as it is.
    """
    mirrored = image[..., ::-1, :] if number >= VIEWS // 2 else image
    return np.rot90(mirrored, number % (VIEWS // 2), axes=(-3, -2))


_STUDY_VIEWS = (4, 6, 1, 2, 3)  # mirrored left to right, mirrored upside down, and three turns


def study_view(image: Image, rng: np.random.Generator) -> Image:
    """Flip or turn an image as the study does: one of five views, each as likely, never the image as it is.

    Parameters
    ----------
    image : numpy.ndarray
        Of shape (size, size, 3).
    rng : numpy.random.Generator
        Chooses the view.
    """
    return view(image, _STUDY_VIEWS[rng.integers(len(_STUDY_VIEWS))])


def dihedral_and_intensity(image: Image, rng: np.random.Generator) -> Image:
    """Take one of all eight views, and make each colour brighter or darker by up to 5 %.

    Staining and exposure differ between slides and say nothing about the organelle. The change is no larger, since
    brightness also depends on the organelle, and a larger change hides that.

    Parameters
    ----------
    image : numpy.ndarray
        float32 of shape (size, size, 3), 0 to 1.
    rng : numpy.random.Generator
        Chooses view and brightness.
    """
    gain = np.exp(rng.uniform(-np.log(_BRIGHTEST), np.log(_BRIGHTEST), image.shape[-1])).astype(np.float32)
    brightened: Image = view(image, int(rng.integers(VIEWS))) * gain
    return np.minimum(brightened, np.float32(1), out=brightened)


AUGMENTATIONS: dict[AugmentationName, Callable[[Image, np.random.Generator], Image]] = {
    "none": lambda image, _: image,
    "study": study_view,
    "dihedral_and_intensity": dihedral_and_intensity,
}
"""The augmentations by the names that recipes give them."""
