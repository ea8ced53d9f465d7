"""Draws the pictures of a report, scaled so that all of them fit into one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.composite import composite, show
from hpa_sdk.inference.pipeline import run_in_batches
from hpa_sdk.inference.threads import usable_cores
from hpa_sdk.prediction import Failure
from hpa_sdk.preprocessing import Planes
from hpa_sdk.report.checked_planes import read_checked
from hpa_sdk.report.finder import PlanesOfResult

THUMBNAIL = 208
"""Longest side of a thumbnail in pixels."""

SIDES = (4096, 3072, 2048, 1536, 1024, 768, 512, 448, 384, 320, 256, 192)
"""Longest sides of a plane, in pixels, that are tried until all pictures fit."""

_THUMBNAIL_QUALITY, _PLANES_QUALITY = 72, 65
_TRIED = 12
_TEXT = 4 / 3  # bytes of base64 for a byte of picture


@dataclass(frozen=True, slots=True)
class Picture:
    """The pictures of one field.

    Attributes
    ----------
    thumbnail : bytes
        The composite, a WebP.
    planes : bytes
        Its four planes in grey, a WebP: red and green above, blue and yellow below.
    width, height : int
        Of one of these planes, in pixels.
    full_width, full_height : int
        Size of the planes as they were read.
    caption : str
        What a reader has to know of it; empty if it is of the files that were answered.
    """

    thumbnail: bytes
    planes: bytes
    width: int
    height: int
    full_width: int
    full_height: int
    caption: str = ""

    @property
    def text_bytes(self) -> float:
        """Size in the report."""
        return _TEXT * (len(self.thumbnail) + len(self.planes))


def draw(planes: Planes, *, side: int) -> Picture:
    """Draw a field.

    Parameters
    ----------
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    side : int
        Longest side of a plane in the picture; smaller ones are not enlarged.
    """
    shown = show(planes, side=side)
    red, green, blue, yellow = shown
    height, width = red.shape
    full_height, full_width = planes.shape[1:]
    return Picture(
        thumbnail=_webp(thumbnail(planes)[..., ::-1], _THUMBNAIL_QUALITY),
        planes=_webp(np.vstack([np.hstack([red, green]), np.hstack([blue, yellow])]), _PLANES_QUALITY),
        width=width,
        height=height,
        full_width=full_width,
        full_height=full_height,
    )


def thumbnail(planes: Planes) -> npt.NDArray[np.uint8]:
    """Draw the composite of a field small: uint8 of shape (h, w, 3), red, green and blue."""
    return composite(show(planes, side=THUMBNAIL))


def _webp(picture: npt.NDArray[np.uint8], quality: int) -> bytes:
    return cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()


def choose_side(found: Sequence[PlanesOfResult], *, budget: float) -> int:
    """Choose the largest of `SIDES` at which the pictures of all fields fit, judged by a few of them.

    Parameters
    ----------
    found : sequence of PlanesOfResult
        The fields.
    budget : float
        Bytes of text that all pictures may take.

    Returns
    -------
    int
        Longest side of a plane in pixels; the smallest of `SIDES` if none fits.
    """
    some = found[:: -(-len(found) // _TRIED) or 1]
    tried = [planes for one in some if (planes := _try(one)) is not None]
    largest = min(max((max(planes.shape) for planes in tried), default=SIDES[-1]), SIDES[0])
    for side in (largest, *(side for side in SIDES if side < largest)):
        size = sum(draw(planes, side=side).text_bytes for planes in tried) / max(len(tried), 1)
        if size * len(found) <= budget:
            return side
    return SIDES[-1]


def _try(found: PlanesOfResult) -> Planes | None:
    try:
        return read_checked(found).planes
    except HpaError:
        return None  # reported when it is drawn


def draw_all(found: Sequence[PlanesOfResult | Failure], *, side: int) -> Iterator[Picture | Failure]:
    """Draw fields on threads, in order; one that can't be read, or is not what was answered, is a `Failure`."""

    def prepare(one: PlanesOfResult | Failure) -> Picture | Failure:
        if isinstance(one, Failure):
            return one
        try:
            checked = read_checked(one)
        except HpaError as error:
            return Failure(one.result.id, error)
        return replace(draw(checked.planes, side=side), caption=checked.caption)

    drawn: Iterator[Picture | Failure] = run_in_batches(
        iter(found), prepare=prepare, run=list, batch_size=1, workers=min(4, usable_cores())
    )
    yield from tqdm(drawn, total=len(found), unit=" pictures", disable=None)
