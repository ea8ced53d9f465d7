"""Takes the white level of a field from its own pixels, before they are cropped or padded with black."""

from __future__ import annotations

from typing import cast

import numpy as np

from hpa_sdk.preprocessing import PERCENTILE, Planes, Preprocessing, White

Levels = tuple[float, ...]
"""The grey level of each plane that counts as 1."""


def stretch(planes: Planes, white: White | None) -> tuple[Planes, Levels | None]:
    """Stretch 16-bit planes whose white level is their percentile, so that it becomes the highest value of their type.

    If a predictor took the percentile later, it would include the black padding and be too low. For these planes it has
    to be loaded with ``white="dtype"``, as `hpa_sdk.workstation.station_setup.load_predictor` does.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    white : optional
        As for `hpa_sdk.preprocessing.Preprocessing.white_levels`. Values other than ``"percentile"`` leave the planes
        unchanged, and 8-bit planes are never changed.

    Returns
    -------
    planes : numpy.ndarray
        Of the same type and shape.
    levels : tuple of float or None
        The white level of the given planes; None if the predictor determines it.
    """
    if white != "percentile" or planes.dtype != np.uint16:
        return planes, None
    levels = tuple(Preprocessing().white_levels(planes, white=white).tolist())
    full, pairs = np.iinfo(planes.dtype).max, zip(planes, levels, strict=True)
    stretched = [np.rint(np.minimum(plane, level) * (full / level)) for plane, level in pairs]
    return cast("Planes", np.stack(stretched).astype(planes.dtype)), levels


def white_notes(levels: Levels | None) -> tuple[str, ...]:
    """Describe the white level, if it was taken from the planes."""
    listed = ", ".join(f"{level:g}" for level in levels or ())
    return (f"white is the {PERCENTILE:g}th percentile of each plane: {listed}",) if listed else ()
