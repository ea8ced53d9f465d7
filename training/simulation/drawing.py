"""Adds points, blobs and grain to a float image; light from overlapping structures adds up."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Image: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]
Values: TypeAlias = NDArray[np.float64]
Points: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = tuple[int, int]

_Number = TypeVar("_Number", bound=np.generic)
_SOFT_EDGE = 0.7


def as_image(values: ArrayLike) -> Image:
    """Convert values to a float32 image: precise enough, and half the work of float64.

    Parameters
    ----------
    values : array_like
        Numbers or booleans; booleans become 1 and 0.

    Returns
    -------
    ndarray, float32, shape of `values`
        The values; the same object if it was float32 already.
    """
    return np.asarray(values, dtype=np.float32)


def neighbours(grid: NDArray[_Number]) -> Iterator[tuple[NDArray[_Number], NDArray[_Number]]]:
    """Pair each pixel with the one to its right, then with the one below it.

    Parameters
    ----------
    grid : ndarray, shape (rows, columns)
        One value per pixel.

    Yields
    ------
    tuple of two ndarrays
        Views of the pixels that have such a neighbour, and of those neighbours.
    """
    yield grid[:, :-1], grid[:, 1:]
    yield grid[:-1], grid[1:]


def splat(shape: Shape, points: Points, weights: Values) -> Image:
    """Distribute each point's weight over the four pixels around it.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    points : ndarray, float64, shape (..., 2)
        Column and row of each point, in pixels; points outside the image are left out.
    weights : ndarray, float64, shape (...)
        Light that each point gives.

    Returns
    -------
    ndarray, float32, shape `shape`
        The light on each pixel.
    """
    rows, columns = shape
    flat = points.reshape(-1, 2)
    corner = np.floor(flat)
    inside = (corner[:, 0] >= 0) & (corner[:, 0] < columns - 1) & (corner[:, 1] >= 0) & (corner[:, 1] < rows - 1)
    right, down = (flat - corner)[inside].T
    light = weights.reshape(-1)[inside]
    first = (corner[inside, 1] * columns + corner[inside, 0]).astype(np.intp)
    places = np.concatenate([first, first + 1, first + columns, first + columns + 1])
    parts = np.concatenate(
        [light * (1 - right) * (1 - down), light * right * (1 - down), light * (1 - right) * down, light * right * down]
    )
    return np.bincount(places, parts, rows * columns).reshape(shape).astype(np.float32)


def spots(shape: Shape, centres: Points, sigma: Values, peak: Values) -> Image:
    """Draw Gaussian dots.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    centres : ndarray, float64, shape (n, 2)
        Column and row of each dot, in pixels.
    sigma, peak : ndarray, float64, shape (n,)
        Standard deviation in pixels and brightness at the middle of each dot.

    Returns
    -------
    ndarray, float32, shape `shape`
        The dots on black.
    """
    # A dot narrower than a pixel must keep its light, which small fields would otherwise lose between pixel centres.
    drawn = np.hypot(sigma, 0.4)
    light = peak * (sigma / drawn) ** 2
    return _stamp(shape, centres, 3 * drawn, lambda away, n: light[n] * np.exp(-0.5 * (away / drawn[n]) ** 2))


def discs(shape: Shape, centres: Points, radius: Values, peak: Values) -> Image:
    """Draw filled discs with a soft edge.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    centres : ndarray, float64, shape (n, 2)
        Column and row of each disc, in pixels.
    radius, peak : ndarray, float64, shape (n,)
        Radius in pixels and brightness of each disc.

    Returns
    -------
    ndarray, float32, shape `shape`
        The discs on black; where discs overlap their light adds up.
    """
    return _stamp(
        shape, centres, radius + 2, lambda away, n: peak[n] * np.clip((radius[n] - away) * _SOFT_EDGE + 0.5, 0, 1)
    )


def rings(shape: Shape, centres: Points, radius: Values, width: Values, peak: Values) -> Image:
    """Draw rings with a Gaussian cross-section.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    centres : ndarray, float64, shape (n, 2)
        Column and row of each ring's centre, in pixels.
    radius, width, peak : ndarray, float64, shape (n,)
        Radius and standard deviation of the rim in pixels, and brightness of the rim.

    Returns
    -------
    ndarray, float32, shape `shape`
        The rings on black.
    """
    drawn = np.hypot(width, 0.4)
    light = peak * width / drawn
    return _stamp(
        shape,
        centres,
        radius + 3 * drawn,
        lambda away, n: light[n] * np.exp(-0.5 * ((away - radius[n]) / drawn[n]) ** 2),
    )


def _stamp(
    shape: Shape, centres: Points, reach: Values, profile: Callable[[Values, NDArray[np.intp]], Values]
) -> Image:
    """Add `profile(distance to the centre, number of the centre)` around each centre, up to its reach."""
    image = np.zeros(shape[0] * shape[1])
    # Stamps of similar size are drawn together, so that one wide blob does not make a thousand small ones wide.
    size_group = np.ceil(np.log2(np.maximum(reach, 1)) * 2).astype(np.intp)
    for group in np.unique(size_group):
        chosen = np.flatnonzero(size_group == group)
        half = int(np.ceil(reach[chosen].max()))
        offsets = np.arange(-half, half + 1)
        middle = np.rint(centres[chosen]).astype(np.intp)
        columns = middle[:, 0, None] + offsets
        rows = middle[:, 1, None] + offsets
        away = np.hypot((rows - centres[chosen, 1, None])[:, :, None], (columns - centres[chosen, 0, None])[:, None, :])
        light = profile(away, chosen[:, None, None])
        inside = ((rows >= 0) & (rows < shape[0]))[:, :, None] & ((columns >= 0) & (columns < shape[1]))[:, None, :]
        places = (rows[:, :, None] * shape[1] + columns[:, None, :])[inside]
        image += np.bincount(places, light[inside], image.size)
    return image.reshape(shape).astype(np.float32)


def blur(image: Image, sigma: float) -> Image:
    """Blur with a Gaussian of `sigma` pixels.

    Parameters
    ----------
    image : ndarray, float32, shape (rows, columns)
        The image to blur.
    sigma : float
        Standard deviation in pixels.

    Returns
    -------
    ndarray, float32, shape (rows, columns)
        A new image with the same total light, except the light that crosses the border.
    """
    return as_image(cv2.GaussianBlur(image, (0, 0), sigma))


def smooth_noise(shape: Shape, grain: float, rng: np.random.Generator) -> Image:
    """Draw a smooth random surface of mean 0 and standard deviation 1.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    grain : float
        Standard deviation of the smoothing, in pixels: about a third of the distance between hills.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray, float32, shape `shape`
        The surface.
    """
    # Coarse grain is drawn on a coarse grid: it looks the same with a fraction of the random numbers.
    step = max(grain / 2, 1.0)
    rows, columns = (int(np.ceil(side / step)) + 1 for side in shape)
    coarse = blur(rng.standard_normal((rows, columns), dtype=np.float32), grain / step)
    coarse -= coarse.mean()
    coarse /= coarse.std() + np.float32(1e-6)
    if (rows, columns) == shape:
        return coarse
    return as_image(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC))
