"""Reads the published form of the Human Protein Atlas (coloured JPEGs, tables of label names) as planes and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from hpa_sdk.errors import PlaneError, TableError
from hpa_sdk.fields.picture_file import upright
from hpa_sdk.fields.planes import MAX_PIXELS
from hpa_sdk.fields.pseudocolour import check_is_field, plane_of_pseudocolour
from hpa_sdk.fields.samples import Channel
from hpa_sdk.fields.tables import parse_indices, parse_names, read_columns
from hpa_sdk.labels import Label

Plane = npt.NDArray[np.uint8]
"""One channel of one field: uint8 of shape (H, W)."""


class DamagedPictureError(PlaneError):
    """A picture has the right start but can't be decoded: fetching it again may help."""


@dataclass(frozen=True, slots=True)
class HpaLabels:
    """The labels of published fields.

    Attributes
    ----------
    labels : mapping of str to tuple of Label
        Labels of each field by its id, in the order of the table.
    left_out : mapping of str to tuple of str
        Fields that carry a label outside the 28 classes, with those labels.
    """

    labels: Mapping[str, tuple[Label, ...]]
    left_out: Mapping[str, tuple[str, ...]]

    def left_out_names(self) -> Counter[str]:
        """Count the fields that were left out by each name that has no counterpart among the 28 classes."""
        return Counter(name for names in self.left_out.values() for name in names)


def read_hpa_labels(table: Path) -> HpaLabels:
    """Read a table of published fields and their labels.

    A field with a label outside the 28 classes is left out completely: without that label it would state that its
    protein is nowhere else.

    Parameters
    ----------
    table : pathlib.Path
        Comma-separated, with the columns ``Id`` and ``Target``: class indices separated by spaces, or HPA names
        separated by ``;``, ``,`` or ``|``.

    Raises
    ------
    TableError
        The table can't be read, an id occurs twice (upper and lower case are equal, as on Windows), or a class
        index is not 0 to 27.
    """
    labels: dict[str, tuple[Label, ...]] = {}
    left_out: dict[str, tuple[str, ...]] = {}
    seen: set[str] = set()
    for line, (field_id, target) in read_columns(table, "Id", "Target"):
        if field_id.casefold() in seen:
            raise TableError(
                f"line {line} repeats the id {field_id}",
                where=table,
                remedy="Give each field one row with all labels.",
            )
        seen.add(field_id.casefold())
        indices = all(part.isdecimal() for part in target.split())
        known, unknown = (parse_indices(target, line, table), ()) if indices else parse_names(target)
        if unknown:
            left_out[field_id] = unknown
        else:
            labels[field_id] = known
    return HpaLabels(labels, left_out)


def plane_of_jpeg(content: bytes, channel: Channel, *, size: int = 0) -> Plane:
    """Take the plane out of a published picture of one channel.

    Parameters
    ----------
    content : bytes
        A JPEG in the channel's pseudocolour: red in R, green in G, blue in B, yellow in R and G alike; or grey.
    channel : Channel
        The channel that the picture should show.
    size : int
        Height and width to reduce the plane to, in pixels, by averaging areas; 0 keeps its size.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (H, W), or (size, size), upright as its Exif data say. Yellow is the mean of R and G.

    Raises
    ------
    DamagedPictureError
        The JPEG can't be decoded to its end.
    PlaneError
        This is not a JPEG of a field, other colours carry signal too, or the plane is smaller than `size`.
    """
    if not content.startswith(b"\xff\xd8\xff"):
        raise PlaneError("this is no JPEG picture", remedy="Open the address in a browser to see what the server says.")
    try:
        with JpegImageFile(BytesIO(content)) as image:
            _check_sides(image.size, size)
            plane = cast("Plane", upright(_grey_plane(image, channel), image)[0])
    except PlaneError:
        raise
    except Exception as error:  # decoders raise many kinds of errors; all of them mean a damaged file
        raise DamagedPictureError(f"the JPEG is damaged ({error})", remedy="Fetch it again.") from error
    if size:
        plane = cast("Plane", cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA))
    return plane


def _check_sides(sides: tuple[int, int], size: int) -> None:
    width, height = sides
    form = f"the picture has {width}x{height} pixels"
    if width * height > MAX_PIXELS:
        raise PlaneError(
            f"{form}, more than the {MAX_PIXELS:,} that are read",
            remedy="Give the picture of a whole field at full size.",
        )
    check_is_field(width, height)
    if min(sides) < size:
        raise PlaneError(f"{form}, fewer than the {size}x{size} asked for", remedy="Ask for a smaller --size.")


def _grey_plane(image: Image.Image, channel: Channel) -> Plane:
    if image.mode == "L":
        return np.asarray(image, np.uint8)
    if image.mode != "RGB":
        raise PlaneError(f"the picture has the colours {image.mode}, not RGB", remedy="Give the published JPEG.")
    return plane_of_pseudocolour(image, channel)
