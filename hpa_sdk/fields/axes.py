"""Identifies each axis of a picture, and refuses a picture whose axes only its shape could identify."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.samples import Channel

_FIELD = "CZYX"
_MEANINGS = {"T": "time points", "S": "samples a pixel, as a picture in colour has"}
_EXPORT = "Export one moment, with each channel in grey: a field is z planes of four channels."
_EXPORT_GREY = (
    "Export the raw numbers of each channel in grey, not the picture in the colours of the display."
    " In tifffile, write the channels as the first axis, (C, H, W), with photometric='minisblack'."
)
_NAME_THEM = (
    "Export it with named axes, as an OME-TIFF or ImageJ hyperstack that says which axis is the channels (C)"
    " and which is z (Z)."
)


def name_axes(axes: Sequence[str], shape: Sequence[int], unnamed: str, path: Path) -> dict[str, int]:
    """Return the length of each axis of a picture, by its name.

    An axis without a name counts as the channel axis if it is the only one, no other axis has that name, and it has as
    many entries as there are channels. Axes of length 1 are ignored.

    Parameters
    ----------
    axes : sequence of str
        Name of each axis, in order.
    shape : sequence of int
        Their lengths.
    unnamed : str
        The letters that mean "no name".
    path : pathlib.Path
        The file, for messages.

    Returns
    -------
    dict of str to int
        In the order of `axes`. Includes axes of length 1; each name occurs once.

    Raises
    ------
    PlaneError
        An axis is not part of a field, has the name of another axis, or has no name and can't be identified.
    """
    lengths = list(zip(axes, shape, strict=True))
    there = ", ".join(f"{axis} of {length}" for axis, length in lengths)
    nameless = [length for axis, length in lengths if axis in unnamed and length > 1]
    if nameless and (nameless != [len(Channel)] or any(axis == "C" and length > 1 for axis, length in lengths)):
        raise PlaneError(
            f"the file does not name all its axes ({there}; {' and '.join(sorted(set(unnamed)))} stand for no name)",
            where=path,
            remedy=_NAME_THEM,
        )
    sizes: dict[str, int] = {}
    for given, length in lengths:
        axis = "C" if given in unnamed and length > 1 else given
        if axis not in _FIELD and length > 1:
            raise PlaneError(
                f"the picture has {length} {_MEANINGS.get(axis, f'positions along an axis {axis}')}",
                where=path,
                remedy=_EXPORT if axis != "S" else _EXPORT_GREY,
            )
        if sizes.get(axis, 1) > 1 and length > 1:
            raise PlaneError(f"two axes have the name {axis} ({there})", where=path, remedy=_NAME_THEM)
        if length > 1:
            sizes.pop(axis, None)  # the order counts, and an axis of length 1 does not take part in it
        sizes.setdefault(axis, length)
    return sizes
