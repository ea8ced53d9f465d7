"""Draws the outlines of cells on fields, to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk import find_samples
from hpa_sdk.cells import ClassicalSegmenter
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.preprocessing import Planes

_COLUMNS = 6
_SIDE = 384
_BRIGHT = 99.5


def draw_sheet(folder: Path, path: Path) -> None:
    """Draw all fields of a folder with their cells: yellow outlines, and the number of cells."""
    segmenter = ClassicalSegmenter()
    tiles = []
    for sample in find_samples(folder):
        planes = read_planes(sample)
        labels = segmenter.segment(planes, id=sample.id, pixel_size=None).labels
        tiles.append(_tile(planes, labels))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _COLUMNS)
    rows = [np.hstack(tiles[at : at + _COLUMNS]) for at in range(0, len(tiles), _COLUMNS)]
    with atomic_write(path) as partial:
        partial.write_bytes(cv2.imencode(".png", np.vstack(rows))[1].tobytes())


def _tile(planes: Planes, labels: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    stretched = [np.clip(plane * (255 / max(1.0, np.percentile(plane, _BRIGHT))), 0, 255) for plane in planes]
    red, _, blue, yellow = (plane.astype(np.uint8) for plane in stretched)
    picture: npt.NDArray[Any] = cv2.resize(cv2.merge([blue, yellow, red]), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    small = cv2.resize(labels, (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST)
    edge = np.zeros(small.shape, bool)
    edge[1:] |= small[1:] != small[:-1]
    edge[:, 1:] |= small[:, 1:] != small[:, :-1]
    picture[edge] = (0, 255, 255)
    cells = str(len(np.unique(labels)) - 1)
    cv2.putText(picture, cells, (6, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2)
    return picture
