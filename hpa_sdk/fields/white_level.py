"""Takes the white level of a field from its own pixels before anything is cut from them or framed in black."""

from __future__ import annotations

from typing import cast

import numpy as np

from hpa_sdk.preprocessing import PERCENTILE, Planes, Preprocessing, White

Levels = tuple[float, ...]
"""The grey level of each plane that counts as 1."""


def stretch(planes: Planes, white: White | None) -> tuple[Planes, Levels | None]:
    """Stretch 16-bit planes whose white is their percentile, so that it becomes the highest value of their type.

    A predictor that took the percentile later would take it of the planes with their black frame, and so too low. It
    has to be loaded with ``white="dtype"`` for these; `hpa_sdk.workstation.station_setup.load_predictor` does.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    white : optional
        As for `hpa_sdk.preprocessing.Preprocessing.white_levels`; all but ``"percentile"`` leaves the planes as they
        are, and so do 8 bits.

    Returns
    -------
    planes : numpy.ndarray
        Of the same type and shape.
    levels : tuple of float or None
        What was white in the planes that were given; None where that is for the predictor to say.
    """
    if white != "percentile" or planes.dtype != np.uint16:
        return planes, None
    levels = tuple(Preprocessing().white_levels(planes, white=white).tolist())
    full, pairs = np.iinfo(planes.dtype).max, zip(planes, levels, strict=True)
    stretched = [np.rint(np.minimum(plane, level) * (full / level)) for plane, level in pairs]
    return cast("Planes", np.stack(stretched).astype(planes.dtype)), levels


def white_notes(levels: Levels | None) -> tuple[str, ...]:
    """Tell what white was, where it was taken from the planes."""
    told = ", ".join(f"{level:g}" for level in levels or ())
    return (f"white is the {PERCENTILE:g}th percentile of each plane: {told}",) if told else ()
