"""Occlusion maps: covers the protein window by window, and measures how much the score of a label falls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import SettingError
from hpa_sdk.fields.samples import Channel
from hpa_sdk.labels import AnyLabel
from hpa_sdk.prediction import Prediction, log_odds
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import Planes, White

BATCH = 16
"""Windows per batch."""

WINDOWS_ACROSS = 8
"""By default, a window is the field's longest side divided by this, and the stride is half a window."""

BACKGROUND = 5
"""Percentile of the plane whose grey level fills a covered window: no protein."""

_PROTEIN = list(Channel).index(Channel.GREEN)


@dataclass(frozen=True, slots=True)
class Grid:
    """The windows that cover a plane: squares in rows and columns, cut off at its edges.

    Every pixel is in the same number of windows if `window` is a multiple of `stride`.

    Attributes
    ----------
    height, width : int
        Of the plane, in pixels.
    window, stride : int
        Side of a window, and the step from one to the next, in pixels.

    Raises
    ------
    SettingError
        Windows leave gaps, or are larger than the plane.
    """

    height: int
    width: int
    window: int
    stride: int

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.window <= min(self.height, self.width):
            raise SettingError(
                f"windows of {self.window} pixels every {self.stride} don't cover {self.width}x{self.height} pixels",
                remedy="Give a window no larger than the plane, and a stride from 1 to the window.",
            )

    @classmethod
    def over(cls, planes: Planes, *, window: int | None = None, stride: int | None = None) -> Grid:
        """Lay windows over a field; see `WINDOWS_ACROSS` for the defaults."""
        height, width = planes.shape[1:]
        side = window or min(max(2, max(height, width) // WINDOWS_ACROSS), height, width)
        return cls(height, width, side, stride or max(1, side // 2))

    def __len__(self) -> int:
        return len(self._starts(self.height)) * len(self._starts(self.width))

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        for top, left in product(self._starts(self.height), self._starts(self.width)):
            yield slice(max(top, 0), top + self.window), slice(max(left, 0), left + self.window)

    def _starts(self, length: int) -> range:
        return range(self.stride - self.window, length, self.stride)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Which parts of one field a network uses for some labels.

    Attributes
    ----------
    prediction : Prediction
        Its answer for the unchanged field.
    labels : tuple of Label
        The labels.
    maps : numpy.ndarray
        float32 of shape (labels, H, W): the mean fall of the label's log-odds over the windows that cover a pixel.
        Above 0 where the protein supports the label, below 0 where it contradicts it.
    """

    prediction: Prediction
    labels: tuple[AnyLabel, ...]
    maps: npt.NDArray[np.float32]


def cover_and_ask(
    predictor: Predictor,
    planes: Planes,
    grid: Grid,
    *,
    labels: Sequence[AnyLabel] = (),
    white: White | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Explanation:
    """Find the parts of a field that a network uses for labels, by covering the protein plane.

    For each window w of the grid, the green plane in it is set to its `BACKGROUND`, and the network runs again:
    fall(w) = logit p(field) - logit p(field without w). The map at a pixel is the mean of fall(w) over the windows
    that cover it. The other three planes are unchanged.

    Parameters
    ----------
    predictor : Predictor
        The network.
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    grid : Grid
        The windows; the network runs once for each.
    labels : sequence of Label, optional
        Default: those that are predicted, or the most probable one if none is.
    white : optional
        As for `Predictor.load`. By percentile, levels are computed once, from the unchanged field.
    progress : callable, optional
        Called with the number of windows that were just finished.

    Raises
    ------
    PlaneError, PredictionError, DeviceError
        As for `Predictor.predict_planes`.

    References
    ----------
    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, arXiv:1311.2901, section 4.2.
    """
    (prediction,) = predictor.predict_planes(planes[np.newaxis], white=white)
    chosen = tuple(labels) or tuple(prediction) or tuple(label for label, _ in prediction.top(1))
    levels = None if planes.dtype == np.uint8 else prediction.white.tolist()
    at = [int(label) for label in chosen]
    whole = log_odds(prediction.probabilities[at])
    empty = np.percentile(planes[_PROTEIN], BACKGROUND).astype(planes.dtype)
    falls = np.zeros((len(chosen), grid.height, grid.width))
    covering = np.zeros((grid.height, grid.width))
    every = list(grid)
    for windows in (every[start : start + BATCH] for start in range(0, len(every), BATCH)):
        covered = [_cover(planes, window, empty) for window in windows]
        for window, answer in zip(windows, predictor.predict_planes(covered, white=levels), strict=True):
            falls[:, *window] += (whole - log_odds(answer.probabilities[at]))[:, np.newaxis, np.newaxis]
            covering[window] += 1
        progress(len(windows))
    return Explanation(prediction=prediction, labels=chosen, maps=(falls / covering).astype(np.float32))


def _cover(planes: Planes, window: tuple[slice, slice], empty: np.generic) -> Planes:
    covered = planes.copy()
    covered[_PROTEIN, *window] = empty
    return covered
