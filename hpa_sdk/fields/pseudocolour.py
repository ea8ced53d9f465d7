"""Extracts a plane from a JPEG in the pseudocolour of its channel, as the Human Protein Atlas publishes planes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.samples import Channel

MIN_SIDE = 256
"""Shortest side in pixels of a published field. Smaller pictures are previews or placeholders."""

MAX_ASPECT = 1.1
"""Largest ratio of the longest to the shortest side of a field. The microscope's fields are square."""

MAX_STRAY = 3.0
"""Largest mean grey level, over blocks of 16 x 16, of a colour in a picture of another channel.

Rounding in a JPEG of quality 50 leaves at most 1.1 in 120 pseudocoloured planes of the Kaggle set. Composites of 71
fields of HPA cells have at least 4.8.
"""

MIN_YELLOW_SHARE = 0.5
"""Smallest ratio of the means of red and green, weaker over stronger, in a yellow picture."""

_COLOURS: dict[Channel, tuple[int, ...]] = {
    Channel.RED: (0,),
    Channel.GREEN: (1,),
    Channel.BLUE: (2,),
    Channel.YELLOW: (0, 1),
}

_BLOCK = 16

# ITU-T T.871 (JFIF), section 7. Applied to block means, before values are clipped to 0..255: an absent colour then is
# 0 on average, whereas decoded pixels keep the positive half of the rounding noise.
_RGB_FROM_YCBCR = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)


def check_is_field(width: int, height: int, where: Path | None = None) -> None:
    """Check, before it is decoded, that a published picture has the size of a field of view.

    Raises
    ------
    PlaneError
        A side is shorter than `MIN_SIDE`, or the ratio of the sides is above `MAX_ASPECT`.
    """
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_ASPECT * min(width, height):
        raise PlaneError(
            f"the picture has {width}x{height} pixels, which is no field of view",
            where=where,
            remedy="Give the picture of a whole field at full size.",
        )


def plane_of_pseudocolour(image: Image.Image, channel: Channel, where: Path | None = None) -> npt.NDArray[np.uint8]:
    """Extract the plane from a pseudocoloured picture.

    Parameters
    ----------
    image : PIL.Image.Image
        A JPEG of mode RGB whose pixels are not decoded yet, in the pseudocolour of its channel: red in R, green in G,
        blue in B, yellow equally in R and G.
    channel : Channel
        The channel that the picture should show.
    where : pathlib.Path, optional
        Its file, for messages.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W). Yellow is the mean of R and G.

    Raises
    ------
    PlaneError
        The picture does not have the size of a field, or other colours contain signal too.
    """
    check_is_field(*image.size, where)
    image.draft("YCbCr", None)
    _check_colours(np.asarray(image), channel, where)
    colours = np.asarray(image.convert("RGB"))[..., list(_COLOURS[channel])].astype(np.uint16)
    plane: npt.NDArray[np.uint8] = ((colours.sum(axis=-1) + colours.shape[-1] // 2) // colours.shape[-1]).astype(
        np.uint8
    )
    return plane


def _check_colours(luma_chroma: npt.NDArray[np.uint8], channel: Channel, where: Path | None) -> None:
    height, width = luma_chroma.shape[:2]
    blocks = cv2.resize(
        luma_chroma.astype(np.float32), (width // _BLOCK, height // _BLOCK), interpolation=cv2.INTER_AREA
    )
    blocks -= np.array([0, 128, 128], np.float32)
    means = np.abs(cv2.transform(blocks, _RGB_FROM_YCBCR)).mean(axis=(0, 1))
    own = means[list(_COLOURS[channel])]
    stray = float(np.delete(means, _COLOURS[channel]).max())
    if stray > MAX_STRAY or (own.max() > MAX_STRAY and own.min() < MIN_YELLOW_SHARE * own.max()):
        red, green, blue = means
        raise PlaneError(
            f"the pseudocolour is not {channel} alone (mean red {red:.0f}, green {green:.0f}, blue {blue:.0f})",
            where=where,
            remedy=f"Give the picture of the {channel} channel alone.",
        )
