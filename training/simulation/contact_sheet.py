"""Shows all 28 patterns side by side, so that an expert can check them by eye."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from hpa_sdk.labels import Label
from training.simulation.fields import simulate_field

if TYPE_CHECKING:
    from pathlib import Path

_COLUMNS = 7
_CAPTION_HEIGHT = 20


def contact_sheet(out: Path, *, seed: int, tile: int = 256, size: int = 512) -> Path:
    """Write one PNG with a cut-out of a simulated field for each label, its name below.

    The protein is green, over faint microtubules in red and nuclei in blue.

    Parameters
    ----------
    out : Path
        File to write.
    seed : int
        Seed of the fields.
    tile : int
        Rows and columns of a cut-out, in pixels; at most `size`.
    size : int
        Rows and columns of the fields, in pixels.

    Returns
    -------
    Path
        `out`.
    """
    rows = -(-len(Label) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * tile, rows * (tile + _CAPTION_HEIGHT)))
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    for label in Label:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(label),)))
        row, column = divmod(int(label), _COLUMNS)
        corner = (column * tile, row * (tile + _CAPTION_HEIGHT))
        sheet.paste(_cut_out(simulate_field([label], rng, size=size), tile), corner)
        pen.text((corner[0] + 6, corner[1] + tile + 2), f"{int(label)} {label}", font=font, fill="white")
    sheet.save(out)
    return out


def _cut_out(planes: NDArray[np.uint8], tile: int) -> Image.Image:
    """Cut out the square with the most protein, stretch its brightness and colour it."""
    red, green, blue, _ = planes
    # Smoothed first, against shot noise, and raised to a high power, against wide dim stain: both could otherwise
    # outweigh a single bridge or spindle.
    smooth = np.asarray(Image.fromarray(green).filter(ImageFilter.GaussianBlur(2)), dtype=np.float64)
    # Two sums in a row give the middle of the square the most weight, so that a bridge or spindle is not at its border.
    held = _square_sums(_square_sums(smooth**4, tile // 2), tile - tile // 2 + 1)
    top, left = np.unravel_index(np.argmax(held), held.shape)
    square = (slice(int(top), int(top) + tile), slice(int(left), int(left) + tile))
    shown = [_stretched(plane[square]) * strength for plane, strength in ((red, 0.35), (green, 1.0), (blue, 0.4))]
    return Image.fromarray((np.stack(shown, axis=-1) * 255).astype(np.uint8))


def _square_sums(values: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Sum over every square of `side` rows and columns, stored at its top left corner."""
    sums = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    return np.asarray(sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side])


def _stretched(plane: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.clip(plane / max(float(np.quantile(plane, 0.997)), 1.0), 0, 1)
