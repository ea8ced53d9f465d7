"""Changes training images in ways that keep their labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from hpa_sdk.preprocessing import Image

AugmentationName = Literal["none", "study"]

_STUDY_VIEWS: tuple[Callable[[Image], Image], ...] = (
    np.fliplr,
    np.flipud,
    lambda image: np.rot90(image, 1),
    lambda image: np.rot90(image, 2),
    lambda image: np.rot90(image, 3),
)


def study_view(image: Image, rng: np.random.Generator) -> Image:
    """Flip or turn an image as the study does: one of five views, each as likely, never the image as it is.

    Parameters
    ----------
    image : numpy.ndarray
        Of shape (size, size, 3).
    rng : numpy.random.Generator
        Chooses the view.
    """
    return _STUDY_VIEWS[rng.integers(len(_STUDY_VIEWS))](image)


AUGMENTATIONS: dict[AugmentationName, Callable[[Image, np.random.Generator], Image]] = {
    "none": lambda image, _: image,
    "study": study_view,
}
"""The augmentations by the names that recipes give them."""
