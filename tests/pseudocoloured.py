"""Makes pseudocoloured planes and writes folders, as the Human Protein Atlas publishes them."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from hpa_sdk.fields.samples import Channel

COLOURS = {Channel.RED: [0], Channel.GREEN: [1], Channel.BLUE: [2], Channel.YELLOW: [0, 1]}


def make_plane(seed: int = 0, side: int = 320) -> npt.NDArray[np.uint8]:
    noise = np.random.default_rng(seed).random((side, side), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return cv2.normalize(smooth, np.empty_like(smooth), 0, 220, cv2.NORM_MINMAX).astype(np.uint8)


def pseudocolour(plane: npt.NDArray[np.uint8], colours: list[int]) -> npt.NDArray[np.uint8]:
    picture = np.zeros((*plane.shape, 3), np.uint8)
    picture[..., colours] = plane[..., None]
    return picture


def jpeg(picture: npt.NDArray[Any], quality: int = 90, mode: str | None = None) -> bytes:
    file = BytesIO()
    image = Image.fromarray(picture)
    (image if mode is None else image.convert(mode)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def write_published(folder: Path, targets: Mapping[str, str]) -> Path:
    """Write a folder of pseudocoloured fields and the table of their labels, which are names with ``;`` between."""
    folder.mkdir()
    for number, field_id in enumerate(targets):
        for at, channel in enumerate(Channel):
            content = jpeg(pseudocolour(make_plane(4 * number + at), COLOURS[channel]))
            (folder / f"{field_id}_{channel}.jpg").write_bytes(content)
    rows = "".join(f"{field_id},{target}\n" for field_id, target in targets.items())
    (folder / "train.csv").write_text(f"Id,Target\n{rows}", encoding="utf-8")
    return folder
