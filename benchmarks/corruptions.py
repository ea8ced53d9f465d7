"""Spoils fields in the ways that happen at a microscope, each at two severities."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from hpa_sdk.quality.measures import Planes

Corruption = Callable[[Planes, np.random.Generator], Planes]


def defocus(sigma: float) -> Corruption:
    """Blur every plane by a Gaussian; `sigma` in pixels."""
    return lambda planes, _: np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in planes])


def noisy_defocus(sigma: float, noise: float = 2.0) -> Corruption:
    """Blur every plane, then add noise where it is not black, because a camera's noise is never blurred."""

    def apply(planes: Planes, rng: np.random.Generator) -> Planes:
        blurred = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in planes])
        return np.clip(np.rint(blurred + (blurred > 0) * rng.normal(0, noise, planes.shape)), 0, 255).astype(np.uint8)

    return apply


def saturation(share: float, plane: int | None = None) -> Corruption:
    """Brighten every plane, or one of them, until a share of the pixels is white."""

    def apply(planes: Planes, _: np.random.Generator) -> Planes:
        spoiled = planes.copy()
        for at in range(len(planes)) if plane is None else [plane]:
            level = max(float(np.quantile(planes[at], 1 - share)), 1)
            spoiled[at] = np.minimum(planes[at] * (255 / level), 255)
        return spoiled

    return apply


def constant(level: int, plane: int) -> Corruption:
    """Give all pixels of a plane one grey level."""

    def apply(planes: Planes, _: np.random.Generator) -> Planes:
        spoiled = planes.copy()
        spoiled[plane] = level
        return spoiled

    return apply


def no_cells(noise: float, plane: int | None = None) -> Corruption:
    """Replace all planes, or one, by uneven background with noise."""

    def apply(planes: Planes, rng: np.random.Generator) -> Planes:
        height, width = planes.shape[1:]
        slope = 10 + 4 * np.linspace(-0.5, 0.5, width) + 2 * np.linspace(-0.5, 0.5, height)[:, None]
        spoiled = planes.copy()
        for at in range(len(planes)) if plane is None else [plane]:
            spoiled[at] = np.clip(np.rint(slope + rng.normal(0, noise, (height, width))), 0, 255)
        return spoiled

    return apply


def same_plane(source: int, target: int, noise: float = 0.0) -> Corruption:
    """Put one plane in the place of another, with noise of its own."""

    def apply(planes: Planes, rng: np.random.Generator) -> Planes:
        spoiled = planes.copy()
        spoiled[target] = np.clip(np.rint(planes[source] + rng.normal(0, noise, planes.shape[1:])), 0, 255)
        return spoiled

    return apply


def swapped(planes: Planes, _: np.random.Generator) -> Planes:
    """Exchange the planes of nuclei and of the protein."""
    return planes[[0, 2, 1, 3]]


def scaled(factor: float) -> Corruption:
    """Show the field larger (its centre) or smaller (mirrored at the edges), as another pixel size would."""

    def apply(planes: Planes, _: np.random.Generator) -> Planes:
        side = planes.shape[1]
        if factor > 1:
            inner = round(side / factor)
            start = (side - inner) // 2
            cut = planes[:, start : start + inner, start : start + inner]
            return np.stack([cv2.resize(plane, (side, side), interpolation=cv2.INTER_LINEAR) for plane in cut])
        inner = round(side * factor)
        small = [cv2.resize(plane, (inner, inner), interpolation=cv2.INTER_AREA) for plane in planes]
        edge = side - inner
        return np.stack([cv2.copyMakeBorder(plane, 0, edge, 0, edge, cv2.BORDER_REFLECT) for plane in small])

    return apply


def dropped_bits(bits: int) -> Corruption:
    """Set the lowest bits to 0."""
    return lambda planes, _: planes & np.uint8(256 - (1 << bits))


CORRUPTIONS: dict[str, tuple[Corruption, str, float | None]] = {
    "defocus, sigma 3": (defocus(3), "focus", 0.95),
    "defocus, sigma 5": (defocus(5), "focus", 0.95),
    "defocus, sigma 1.5": (defocus(1.5), "focus", None),
    "defocus, sigma 1": (defocus(1), "focus", None),
    "defocus, sigma 3, then noise": (noisy_defocus(3), "focus", None),
    "5% saturated, all planes": (saturation(0.05), "saturated", 0.95),
    "10% saturated, all planes": (saturation(0.1), "saturated", 0.95),
    "2% saturated, all planes": (saturation(0.02), "saturated", None),
    "1% saturated, all planes": (saturation(0.01), "saturated", None),
    "5% saturated, green only": (saturation(0.05, plane=1), "saturated", None),
    "5% saturated, blue only": (saturation(0.05, plane=2), "saturated", None),
    "green plane black": (constant(0, 1), "constant", 1.0),
    "blue plane of one grey level": (constant(17, 2), "constant", 1.0),
    "background, noise 2": (no_cells(2), "signal", 0.95),
    "background, noise 5": (no_cells(5), "signal", 0.95),
    "background, noise 0.5": (no_cells(0.5), "signal", None),
    "background in green only, noise 2": (no_cells(2, plane=1), "signal", None),
    "green is a copy of blue": (same_plane(2, 1), "unlike", 1.0),
    "yellow is a copy of red": (same_plane(0, 3), "unlike", 1.0),
    "green is blue with noise 5": (same_plane(2, 1, 5), "unlike", None),
    "blue and green swapped": (swapped, "swapped", 0.9),
    "scale x2": (scaled(2), "scale", 0.8),
    "scale x1/2": (scaled(0.5), "scale", 0.8),
    "scale x1.5": (scaled(1.5), "scale", None),
    "scale x2/3": (scaled(2 / 3), "scale", None),
    "1 bit dropped": (dropped_bits(1), "gaps", 0.95),
    "2 bits dropped": (dropped_bits(2), "gaps", 0.95),
    "4 bits dropped": (dropped_bits(4), "gaps", 0.95),
}
"""Each corruption with the kind of measure that is to find it, and the share of fields that it has to find."""
