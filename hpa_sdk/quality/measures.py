"""Measures the quality of a field on its planes, in a few milliseconds, before a network sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk.quality.nuclei import Bright
from hpa_sdk.quality.scales import LEAST_SIDE, Scales, scales_of

_WHITE = 255
_LEVELS_WITH_GAPS = 3  # a histogram that spans fewer grey levels shows no gaps
_PIXELS = 2**15  # enough for the shares of grey levels: rows of a larger plane are left out
_SHARES = (0.01, 0.99, 0.999)  # of the darkest pixels: the range in which gaps are counted, and the brightness
_ROUNDING = 1 / 12  # variance of rounding to whole grey levels

Planes = npt.NDArray[np.uint8 | np.uint16]
Weights = Mapping[str, Mapping[str, float]]
"""Of each measure that is a weighted sum: the weight of each of its parts."""


class Measured(NamedTuple):
    """The measures of a field.

    Attributes
    ----------
    values : dict of str to float
        Each measure under its name, such as ``"focus green"`` or ``"scale"``.
    left_out : tuple of str
        What was not measured, with the reason.
    """

    values: dict[str, float]
    left_out: tuple[str, ...]


def measure(
    planes: Planes,
    channels: Sequence[str],
    weights: Weights,
    white: npt.NDArray[np.float32] | None = None,
    *,
    scale_problem: str = "",
) -> Measured:
    """Measure the planes of a field.

    Of each plane C:

    - ``constant C``: 1 if all pixels have one grey level, else 0. Such a plane has no other measures.
    - ``saturated C``: share of the pixels (0 to 1) that have the plane's highest grey level, or reach the white level.
      CellProfiler, MeasureImageQuality: PercentMaximal.
    - ``brightness C``: the 99.9th percentile as a share of the white level (0 to 1).
    - ``gaps C``: share of the grey levels between the 1st and the 99th percentile that no pixel has (0 to 1). Bits that
      were dropped, and grey levels that were stretched, make such a comb. Only of 8-bit planes.
    - ``noise C``: standard deviation of the noise in percent of the white level: see `noise_of`.
    - ``signal C``: standard deviation of structures of 16 to 128 pixels, which nuclei and cells make, divided by that
      of the noise. Without a cell it is below 1.
    - ``focus C``: variance of structures of 4 to 8 pixels divided by that of structures of 8 to 16 pixels, in octaves
      (log2). Blur removes the finer ones first. It is a ratio of frequency bands, as the power log-log slope of
      MeasureImageQuality is (Bray et al., Journal of Biomolecular Screening 17, 2012, 266, doi:10.1177/
      1087057111420292).

    Of all planes together:

    - ``focus``, ``saturated``: the means of ``focus C`` and ``saturated C``.
    - ``unlike``: 1 - r for the two planes that are most alike (0 to 2), where r is Pearson's correlation coefficient.
      CellProfiler, MeasureColocalization: Correlation.
    - ``scale``: how much larger nuclei look than usual, in octaves: 1 is twice as large. A linear estimate from radius
      and share of the bright parts of the blue plane (`Bright`).
    - ``swapped``: how much more the green plane looks like one of nuclei than the blue plane does (log odds). A linear
      discriminant on the differences between the two.

    Lengths are pixels of a field of 512 x 512. Larger planes are reduced to that.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (C, H, W).
    channels : sequence of str
        The colour of each plane.
    weights : mapping
        The weights of ``scale`` and ``swapped``.
    white : numpy.ndarray, optional
        The grey level that counts as 1, of each plane. Default: 255.
    scale_problem : str
        Why lengths in these planes have no meaning, so that only grey levels are measured; empty if they have.
    """
    levels = np.full(len(planes), _WHITE, np.float32) if white is None else white
    values: dict[str, float] = {}
    for channel, plane, level in zip(channels, planes, levels, strict=True):
        values |= {f"{name} {channel}": value for name, value in _of_grey_levels(plane, float(level)).items()}
    shares = [values[f"saturated {channel}"] for channel in channels if f"saturated {channel}" in values]
    if shares:
        values["saturated"] = fmean(shares)
    varied = [at for at, channel in enumerate(channels) if not values[f"constant {channel}"]]
    if not scale_problem and min(planes.shape[1:]) < LEAST_SIDE:
        scale_problem = f"a side of the planes has fewer than {LEAST_SIDE} pixels"
    left_out = tuple(f"the {channel} plane: the model does not take it" for channel in _ALL if channel not in channels)
    if scale_problem:
        return Measured(values, (f"all but grey levels: {scale_problem}", *left_out))
    found_scales = scales_of([planes[at] for at in varied], [float(levels[at]) for at in varied])
    scales = dict(zip([channels[at] for at in varied], found_scales, strict=True))
    for channel, found in scales.items():
        values |= {f"{name} {channel}": value for name, value in _of_scales(found).items()}
    if scales:
        values["focus"] = fmean(values[f"focus {channel}"] for channel in scales)
    alike = {pair: _correlation(*(scales[channel] for channel in pair)) for pair in combinations(scales, 2)}
    if alike:
        values["unlike"] = 1 - max(alike.values())
    bright: dict[str, Bright] = {
        channel: Bright(scales[channel].half) for channel in ("green", "blue") if channel in scales
    }
    if "blue" in bright:
        values["scale"] = _weighted(weights["scale"], scale_parts(bright["blue"]))
    if {"red", "green", "blue"} <= scales.keys():
        values["swapped"] = _weighted(weights["swapped"], swap_parts(scales, bright))
    return Measured(values, left_out)


_ALL = ("red", "green", "blue", "yellow")


def scale_parts(blue: Bright) -> dict[str, float]:
    """Return the parts of the measure ``scale``."""
    plain, roots = blue.size(), blue.size_of_roots()
    return {
        "one": 1.0,
        "radius": plain.radius,
        "share": plain.share,
        "radius of roots": roots.radius,
        "share of roots": roots.share,
    }


def swap_parts(scales: Mapping[str, Scales], bright: Mapping[str, Bright]) -> dict[str, float]:
    """Return the parts of the measure ``swapped``: differences, green minus blue, so that a swap changes their sign."""
    red, green, blue = (scales[channel] for channel in ("red", "green", "blue"))
    return {
        "red": _correlation(green, red) - _correlation(blue, red),
        "coarseness": green.coarseness - blue.coarseness,
        "focus": _focus(green) - _focus(blue),
        "separation": bright["green"].separation() - bright["blue"].separation(),
        "noise": float(np.log2((green.noise + 0.1) / (blue.noise + 0.1))),
    }


def _weighted(weights: Mapping[str, float], parts: Mapping[str, float]) -> float:
    return sum(weight * parts[name] for name, weight in weights.items())


def _of_grey_levels(plane: Planes, white: float) -> dict[str, float]:
    lowest, highest, *_ = cv2.minMaxLoc(plane)
    if lowest == highest:
        return {"constant": 1.0}
    count = 256**plane.itemsize
    rows = plane[:: max(1, plane.size // _PIXELS)]
    histogram = cv2.calcHist([rows], [0], None, [count], [0, count]).ravel()
    low, high, brightest = np.searchsorted(np.cumsum(histogram), [share * rows.size for share in _SHARES]).tolist()
    top = min(int(highest), math.ceil(white))
    found = {
        "constant": 0.0,
        "saturated": float(histogram[top:].sum()) / rows.size,
        "brightness": min(brightest / white, 1.0),
    }
    if plane.dtype == np.uint8 and plane.size >= LEAST_SIDE**2 and high - low + 1 >= _LEVELS_WITH_GAPS:
        found["gaps"] = 1 - cv2.countNonZero(histogram[low : high + 1]) / (high + 1 - low)
    return found


def _of_scales(scales: Scales) -> dict[str, float]:
    return {
        "noise": scales.noise / _WHITE * 100,
        "signal": float(np.sqrt(scales.bands[2:].sum() / (scales.noise**2 + _ROUNDING))),
        "focus": _focus(scales),
    }


def _focus(scales: Scales) -> float:
    return float(np.log2((scales.bands[0] + _ROUNDING / 4) / (scales.bands[1] + _ROUNDING / 4)))


def _correlation(one: Scales, other: Scales) -> float:
    return float(one.normalized @ other.normalized)
