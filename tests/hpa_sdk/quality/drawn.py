"""Draws fields of cells whose quality is known: nuclei, a cell body with fine structure, a protein in spots."""

from __future__ import annotations

import cv2
import numpy as np

from hpa_sdk.preprocessing import Planes

SIDE = 512
RADIUS = 20


def draw_field(seed: int, *, radius: int = RADIUS, side: int = SIDE) -> Planes:
    """Draw the four planes of a field, 8 bits."""
    rng = np.random.default_rng(seed)
    centres = [
        (int(x + rng.uniform(-8, 8)), int(y + rng.uniform(-8, 8)))
        for x in range(2 * radius, side, 5 * radius)
        for y in range(2 * radius, side, 5 * radius)
    ]
    nuclei, bodies, spots = np.zeros((3, side, side), np.float32)
    for centre in centres:
        cv2.circle(bodies, centre, 2 * radius, 1.0, -1)
        cv2.circle(nuclei, centre, round(radius * rng.uniform(0.9, 1.1)), float(rng.uniform(0.7, 1)), -1)
        for shift in rng.normal(0, radius, (12, 2)):
            x, y = (np.array(centre) + shift).astype(int)
            cv2.circle(spots, (int(x), int(y)), 2, float(rng.uniform(0.5, 1)), -1)
    body = bodies - (nuclei > 0) * 0.7
    grain = [cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), 1.0) for _ in range(3)]
    planes = [
        body * (70 + 160 * grain[0]),
        spots * 150 + body * 20,
        cv2.GaussianBlur(nuclei, (0, 0), 1.0) * (150 + 30 * grain[1]),
        cv2.GaussianBlur(body, (0, 0), 4.0) * (70 + 160 * grain[2]),
    ]
    noisy = [plane + 4 + rng.normal(0, 1.5, plane.shape) for plane in planes]
    return np.clip(np.rint(noisy), 0, 250).astype(np.uint8)
