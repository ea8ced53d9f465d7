"""Simulates the blur of the microscope and the noise of the camera, which networks learn as well as organelles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from training.simulation.drawing import as_image, blur

if TYPE_CHECKING:
    from training.simulation.drawing import Image

_WHITE = 255
_HAZE_REACH = 9.0
_BRIGHTEST_SHARE = 0.0003


def focus(light: Image, scale: float, rng: np.random.Generator) -> Image:
    """Blur like a confocal microscope: a narrow core, and a wide haze from above and below the slice.

    Parameters
    ----------
    light : ndarray, float32, shape (rows, columns)
        Light of the structures.
    scale : float
        Pixels per pixel of a field of 512.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray, float32, shape (rows, columns)
        Light that reaches the camera.
    """
    core = blur(light, max(rng.uniform(0.8, 1.3) * scale, 0.3))
    haze = rng.uniform(0.04, 0.16)
    # The haze has no detail: a quarter of the resolution is enough.
    small = cv2.resize(light, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    wide = cv2.GaussianBlur(small, (0, 0), max(_HAZE_REACH * scale / 4, 0.3))
    wide = cv2.resize(wide, light.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return as_image((1 - haze) * core + haze * wide)


def brightest(light: Image) -> float:
    """Light of the brightest spots except a few pixels; the unit of exposure.

    Parameters
    ----------
    light : ndarray, float32, shape (rows, columns)
        Light that reaches the camera.

    Returns
    -------
    float
        The light; positive.
    """
    rank = light.size - max(int(light.size * _BRIGHTEST_SHARE), 1)
    return max(float(np.partition(light.reshape(-1), rank)[rank]), 1e-6)


def expose(light: Image, *, photons: float, white: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw the photon counts, add camera noise, subtract the dark level and convert to 8-bit grey.

    Parameters
    ----------
    light : ndarray, float32, shape (rows, columns)
        Light that reaches the camera; 1 is the unit of exposure.
    photons : float
        Photons that a pixel with light 1 catches.
    white : float
        Light that becomes white.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray, uint8, shape (rows, columns)
        The plane.
    """
    stray = rng.uniform(0.1, 0.8)
    caught = rng.poisson(light * photons + stray).astype(np.float32)
    caught += rng.uniform(0.2, 0.6) * rng.standard_normal(light.shape, dtype=np.float32)
    dark_level = stray + rng.uniform(0.2, 0.8)
    grey = np.clip((caught - dark_level) * (_WHITE / (photons * white)), 0, _WHITE)
    return np.asarray(grey, dtype=np.uint8)
