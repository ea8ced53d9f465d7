"""Turns the planes of a field into the image that a network takes: channels, blend, size and scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import PlaneError
from hpa_sdk.patch import Patch

Planes = npt.NDArray[np.uint8 | np.uint16]
"""The channels of one field: uint8 or uint16 of shape (4, H, W), in the order red, green, blue, yellow."""

Image = npt.NDArray[np.float32]
"""The network's input for one field: float32 of shape (299, 299, 3), values 0 to 1, for the networks of the study."""

White = float | Sequence[float] | Literal["dtype", "percentile"]
"""The intensity of 16-bit planes that counts as 1, or how to find it: see `Preprocessing.white_levels`."""

PERCENTILE = 99.9
"""With ``white="percentile"``, this percentage of a plane's pixels stays below saturation."""

ChannelName = Literal["red", "green", "blue", "yellow"]

_EVERY: tuple[ChannelName, ...] = ("red", "green", "blue", "yellow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization:
    """How an image is normalized by its own values, in the words of bioimage.io.

    Attributes
    ----------
    kind : str
        ``"scale_range"``: the percentile `low` becomes 0 and `high` becomes 1. ``"zero_mean_unit_variance"``: the mean
        becomes 0 and the standard deviation 1.
    low, high : float
        The percentiles, 0 to 100.
    by : str
        ``"colour"``: each colour for itself. ``"image"``: all colours together.
    epsilon : float
        Added to what is divided by, so that an even image has finite values.
    """

    kind: Literal["scale_range", "zero_mean_unit_variance"]
    low: float = 0.0
    high: float = 100.0
    by: Literal["colour", "image"] = "image"
    epsilon: float = 1e-6

    def __call__(self, image: Image) -> Image:
        """Normalize an image, float32 of shape (H, W, colours)."""
        axes = (0, 1) if self.by == "colour" else (0, 1, 2)
        if self.kind == "zero_mean_unit_variance":
            start = image.mean(axis=axes, keepdims=True, dtype=np.float64)
            length = image.std(axis=axes, keepdims=True, dtype=np.float64)
        else:
            start, end = np.percentile(image, (self.low, self.high), axis=axes, keepdims=True)
            length = end - start
        normalized: Image = ((image - start) / (length + self.epsilon)).astype(np.float32)
        return normalized


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How planes become an image. Call it with planes to convert them.

    The default is the study's: red, green and blue of the image are r/2 + y/2, g/2 + y/2 and b/2, resized bilinearly
    without smoothing to 299 x 299 and divided by the white level. Blend and resize are both linear, so blending
    after the resize gives the same image in a fifth of the time.

    Attributes
    ----------
    channels : tuple of str
        The planes that the network takes, in its order: some or all of red, green, blue and yellow.
    blend : tuple of tuple of float
        For each colour of the image, the share of each plane.
    size : int or None
        Height and width of the image in pixels. None: as the planes come.
    interpolation : str
        ``"bilinear"``, without antialiasing: ``cv2.INTER_LINEAR``.
    scale : float
        White level of 8-bit planes, which becomes 1 in the blend, like `white` of 16-bit planes.
    place : str
        ``"host"`` if the caller does all this, ``"graph"`` if the model file does it.
    layout : str
        ``"nhwc"`` if colours are the last dimension of the image, ``"nchw"`` if they are the first.
    mean, deviation : tuple of float or None
        For each colour, what is subtracted after the scaling, and then divided by. None: 0 and 1.
    normalization : Normalization or None
        How each image is normalized by its own values, after the scaling and before mean and deviation.
    """

    channels: tuple[ChannelName, ...] = _EVERY
    blend: tuple[tuple[float, ...], ...] = ((0.5, 0.0, 0.0, 0.5), (0.0, 0.5, 0.0, 0.5), (0.0, 0.0, 0.5, 0.0))
    size: int | None = 299
    interpolation: Literal["bilinear"] = "bilinear"
    scale: float = 255.0
    place: Literal["host", "graph"] = "host"
    layout: Literal["nhwc", "nchw"] = "nhwc"
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    normalization: Normalization | None = None

    def __call__(self, planes: Planes, *, white: White | None = None, where: str | Path | None = None) -> Image:
        """Turn the planes of one field into an image.

        Parameters
        ----------
        planes : numpy.ndarray
            uint8 or uint16 of shape (4, H, W), in the order red, green, blue, yellow; or of shape (C, H, W), only the
            C planes of `channels` in their order.
        white : optional
            The intensity of 16-bit planes that counts as 1. See `white_levels`. Brighter pixels count as 1 too.
        where : str or pathlib.Path, optional
            Where the planes come from, for messages.

        Returns
        -------
        numpy.ndarray
            float32 of shape (size, size, colours), or with the colours first: for the default (299, 299, 3), 0 to 1.

        Raises
        ------
        PlaneError
            The array does not have this form, or is 16-bit and `white` is not given.
        """
        return self._image(self.taken(planes), self.white_levels(planes, white=white, where=where))

    def model_input(
        self, planes: Planes, *, white: White | None = None, where: str | Path | None = None
    ) -> tuple[Image | npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """Turn the planes of one field into the input of the model, which depends on `place`.

        A model that does the preprocessing takes 8 bits per pixel, so 16-bit planes are first rounded to that many grey
        levels below their white level. Measured on 71 real fields brought to 12 bits, through a network with a random
        weight for every pixel: a probability changes by up to 0.004, by 0.0009 on average.

        Parameters
        ----------
        planes, white, where
            As for a call.

        Returns
        -------
        field : numpy.ndarray
            The image; or planes, uint8 of shape (C, H, W), if `place` is ``"graph"``.
        levels : numpy.ndarray
            As `white_levels` gives them.

        Raises
        ------
        PlaneError
            As for a call.
        """
        levels = self.white_levels(planes, white=white, where=where)
        taken = self.taken(planes)
        if self.place == "host":
            return self._image(taken, levels), levels
        in_8_bits = taken if taken.dtype == np.uint8 else self._to_8_bits(taken, levels)
        return cast("npt.NDArray[np.uint8]", in_8_bits), levels

    def patch_input(
        self, patch: Patch, *, white: Sequence[float], where: str | Path | None = None
    ) -> tuple[Image | npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """Turn a field that is black outside a patch into the input of the model.

        The same as `model_input` of the field, but for the rounding of its last digits. If possible, only the
        surroundings of the patch are computed.

        Parameters
        ----------
        patch : Patch
            The patch.
        white : sequence of float
            The intensity of 16-bit planes that counts as 1, of each plane.
        where : str or pathlib.Path, optional
            As for a call.

        Returns
        -------
        field, levels
            As for `model_input`.

        Raises
        ------
        PlaneError
            As for a call.
        """
        height, width = (self.size or side for side in patch.shape)
        rows, columns = patch.surroundings(height, width)
        if self.place != "host" or self.normalization is not None or rows is None or columns is None:
            return self.model_input(patch.field(), white=white, where=where)
        levels = self.white_levels(patch.planes, white=white, where=where)
        around = _merged(self.taken(patch.within(rows, columns)), levels)
        image = np.zeros((height, width, len(self.blend)), np.float32)
        image[rows.start : rows.start + rows.given, columns.start : columns.start + columns.given] = self._blended(
            around, levels, rows.given, columns.given
        )
        return self._standardized(image), levels

    def taken(self, planes: Planes) -> Planes:
        """Pick the planes of `channels`, in their order."""
        if self.channels == _EVERY or len(planes) != len(_EVERY):
            return planes
        return planes[[_EVERY.index(channel) for channel in self.channels]]

    def _image(self, planes: Planes, levels: npt.NDArray[np.float32]) -> Image:
        height, width = planes.shape[1:]
        image = self._blended(_merged(planes, levels), levels, self.size or height, self.size or width)
        return self._standardized(image if self.normalization is None else self.normalization(image))

    def _blended(self, merged: Image, levels: npt.NDArray[np.float32], height: int, width: int) -> Image:
        return _transformed(_resized(merged, height, width), np.asarray(self.blend, np.float32) / levels)

    def _standardized(self, image: Image) -> Image:
        if self.mean is not None:
            image -= np.asarray(self.mean, np.float32)
        if self.deviation is not None:
            image /= np.asarray(self.deviation, np.float32)
        return image if self.layout == "nhwc" else np.ascontiguousarray(image.transpose(2, 0, 1))

    def _to_8_bits(self, planes: Planes, levels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        pairs = zip(planes, levels.tolist(), strict=True)
        return np.stack(
            [cv2.convertScaleAbs(cv2.min(plane, white), alpha=self.scale / white) for plane, white in pairs]
        )

    def white_levels(
        self, planes: Planes, *, white: White | None = None, where: str | Path | None = None
    ) -> npt.NDArray[np.float32]:
        """Return the intensity of each plane that counts as 1.

        A file does not say the bit depth of the camera (12 bits are stored as 16). So the caller has to state it. It is
        never guessed.

        Parameters
        ----------
        planes : numpy.ndarray
            As for a call.
        white : optional
            A number such as 4095 for a 12-bit camera, four numbers for red, green, blue and yellow, ``"dtype"`` for
            65535, or ``"percentile"`` for the 99.9th percentile of each plane. 8-bit planes always use `scale`.
        where : str or pathlib.Path, optional
            Where the planes come from, for messages.

        Returns
        -------
        numpy.ndarray
            float32 of shape (C,): of each plane in `channels`, in grey levels, above 0.

        Raises
        ------
        PlaneError
            The array is not uint8 or uint16 of such a shape, or is 16-bit and `white` is missing or not valid.
        """
        if not isinstance(planes, np.ndarray):
            raise PlaneError(
                f"{type(planes).__name__} is no array of planes", where=where, remedy="Give a NumPy array (4, H, W)."
            )
        counts = dict.fromkeys((len(_EVERY), len(self.channels)))
        if planes.ndim != 3 or planes.shape[0] not in counts or 0 in planes.shape:  # noqa: PLR2004 - (C, H, W)
            expected = " or ".join(f"({count}, H, W)" for count in counts)
            raise PlaneError(
                f"the array has shape {planes.shape}, not {expected}",
                where=where,
                remedy=f"Stack the planes of one field in the order {', '.join(_EVERY)}"
                + ("." if len(counts) == 1 else f", or only those that the network takes: {', '.join(self.channels)}."),
            )
        if planes.dtype == np.uint8:
            return np.full(len(self.channels), self.scale, np.float32)
        if planes.dtype != np.uint16:
            raise PlaneError(
                f"the planes are {planes.dtype}, not uint8 or uint16",
                where=where,
                remedy="Give the camera's own numbers, without scaling them.",
            )
        if white is None:
            raise PlaneError(
                "the planes have 16 bits and nobody said which intensity is white",
                where=where,
                remedy="Give white=4095 for a 12-bit camera, white='dtype' for 65535, or white='percentile'"
                " (on the command line: --white).",
            )
        return _levels_of_16_bits(self.taken(planes), self._white_taken(white), where)

    def _white_taken(self, white: White) -> White:
        numbers = None if isinstance(white, (str, int, float)) else np.ravel(white)
        if self.channels == _EVERY or numbers is None or len(numbers) != len(_EVERY):
            return white
        return cast("list[float]", numbers[[_EVERY.index(channel) for channel in self.channels]].tolist())


# OpenCV drops the last dimension of a picture of one colour, and its functions take at most four colours.
_MOST_COLOURS = 4


def _merged(planes: Planes, levels: npt.NDArray[np.float32]) -> Image:
    """Return planes with the colours last, of shape (H, W, C), and 16-bit planes up to their white levels only."""
    height, width = planes.shape[1:]
    merged: Image = cv2.merge(list(planes)).astype(np.float32).reshape(height, width, len(planes))
    return merged if planes.dtype == np.uint8 else np.minimum(merged, levels, out=merged)


def _resized(merged: Image, height: int, width: int) -> Image:
    if merged.shape[:2] == (height, width):
        return merged
    resized = cv2.resize(merged, (width, height), interpolation=cv2.INTER_LINEAR)
    return cast("Image", resized.reshape(height, width, merged.shape[2]))


def _transformed(merged: Image, blend: npt.NDArray[np.float32]) -> Image:
    if len(blend) > _MOST_COLOURS:
        return merged @ blend.T.astype(np.float32)
    return cast("Image", cv2.transform(merged, blend).reshape(*merged.shape[:2], len(blend)))


def _levels_of_16_bits(planes: Planes, white: White, where: str | Path | None) -> npt.NDArray[np.float32]:
    if isinstance(white, str) and white == "percentile":
        # An empty plane has percentile 0. Division by 1 keeps it black.
        return np.maximum(np.percentile(planes, PERCENTILE, axis=(1, 2)), 1).astype(np.float32)
    if isinstance(white, str) and white == "dtype":
        return np.full(planes.shape[0], np.iinfo(planes.dtype).max, np.float32)
    try:
        levels = np.broadcast_to(np.asarray(white, np.float32), planes.shape[:1])
    except ValueError:
        levels = np.zeros(1, np.float32)
    if not (np.isfinite(levels) & (levels > 0)).all():
        raise PlaneError(
            f"white={white!r} is no white level",
            where=where,
            remedy="Give a number above 0, one such number for each channel, 'dtype' or 'percentile'.",
        )
    return levels
