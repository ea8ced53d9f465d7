"""Defines, for all formats and readers, how the stored numbers of a file become a plane."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import PlaneError
from hpa_sdk.preprocessing import Planes

DEPTHS = (8, 16)
"""Supported bits per pixel."""

_UPRIGHT = 1
# Values of the Orientation tag of TIFF 6.0 and Exif: (transpose, flip rows, flip columns), in this order.
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
_UNSIGNED = 1
_FORMATS = {1: "", 2: "signed ", 3: "floating-point ", 4: "undefined ", 5: "complex integer ", 6: "complex "}
_PHOTOMETRIC = {
    0: "min-is-white",
    1: "min-is-black",
    2: "a colour (RGB) picture",
    3: "a palette picture",
    4: "a transparency mask",
    5: "a colour (CMYK) picture",
    6: "a colour (YCbCr) picture",
    8: "a colour (CIELab) picture",
}
_WHITE, _BLACK, _RGB = 0, 1, 2
_COLOURS = 3
_EXPORT_GREY = "Export each channel as one grey picture of unsigned numbers, without colour table or alpha channel."


@dataclass(frozen=True, slots=True)
class StoredForm:
    """How a file stores its numbers.

    Attributes
    ----------
    inverted : bool
        Whether 0 is white (PhotometricInterpretation 0 of TIFF), so that a low number means much light.
    orientation : int
        The Orientation tag of TIFF or Exif. 1 is upright.
    why_inverted : str
        The metadata of the file that says so.
    """

    inverted: bool = False
    orientation: int = _UPRIGHT
    why_inverted: str = "PhotometricInterpretation 0"

    @property
    def notes(self) -> tuple[str, ...]:
        """How `as_plane` changes the pixels."""
        notes = []
        if self.inverted:
            notes.append(f"the file stores 0 as white ({self.why_inverted}); the plane is inverted")
        if self.orientation != _UPRIGHT:
            notes.append(f"the file says Orientation {self.orientation}; the plane is turned upright")
        return tuple(notes)


def as_plane(pixels: Planes, form: StoredForm) -> Planes:
    """Convert stored pixels to a plane: bright where there is much light, upright, in native byte order.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 or uint16 of shape (H, W), as stored.
    form : StoredForm
        How the file stores them.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16 of shape (H, W), or (W, H) where the orientation swaps the sides.
    """
    plane: npt.NDArray[np.uint8 | np.uint16] = pixels
    if not plane.dtype.isnative:
        plane = plane.astype(plane.dtype.newbyteorder("="))
    if form.inverted:
        plane = np.invert(plane)
    transpose, rows, columns = _TURNS[form.orientation]
    if transpose:
        plane = plane.T
    if rows:
        plane = plane[::-1]
    if columns:
        plane = plane[:, ::-1]
    return np.ascontiguousarray(plane)


def check_orientation(orientation: object, path: Path | None) -> int:
    """Check the value of an Orientation tag. None, for a file without the tag, is upright.

    Raises
    ------
    PlaneError
        It is not one of the eight that TIFF and Exif define.
    """
    if orientation is None:
        return _UPRIGHT
    if isinstance(orientation, int) and orientation in _TURNS:
        return orientation
    raise PlaneError(
        f"the Orientation tag is {orientation}, which is not defined",
        where=path,
        remedy="Export the plane upright, with Orientation 1 or without this tag.",
    )


def check_planar(samples: int, photometric: int | None, path: Path) -> bool:
    """Check whether planar samples are channels, each a grey plane, and return whether their pixels are inverted.

    Grey samples are channels, and so are four or more samples: some writers call four channels RGB with alpha.

    Raises
    ------
    PlaneError
        They are the colours of one picture.
    """
    if photometric == _RGB and samples > _COLOURS:
        return False
    return check_photometric(photometric, path)


def check_palette(colours: tuple[int, ...], bits: int, path: Path) -> bool:
    """Check that the colour table of a palette picture is only grey, and return whether it is inverted.

    Raises
    ------
    PlaneError
        The table is missing, has colours, or has greys that are not proportional to the stored numbers.
    """
    size = 2**bits
    if len(colours) != _COLOURS * size:
        raise not_grey("a palette picture without its colour table", path)
    red, green, blue = (np.array(colours[at * size : (at + 1) * size]) for at in range(_COLOURS))
    if not ((red == green) & (green == blue)).all():
        raise not_grey("a palette picture in colour", path)
    # 8 bits become 16 by a factor of 257, or of 256 in writers that shift the bits.
    for factor in {2 ** (_TABLE_BITS - bits), (2**_TABLE_BITS - 1) // (size - 1)}:
        ramp = np.arange(size) * factor
        if (red == ramp).all():
            return False
        if (red == ramp[::-1]).all():
            return True
    raise not_grey("a palette picture whose colour table is no ramp of grey", path)


_TABLE_BITS = 16


def check_photometric(photometric: int | None, path: Path) -> bool:
    """Check the PhotometricInterpretation tag of a TIFF, and return whether the pixels are inverted.

    Raises
    ------
    PlaneError
        The picture is not grey, or the file does not say what 0 means.
    """
    if photometric is None:
        raise PlaneError(
            "the file does not say whether 0 is black or white (it has no PhotometricInterpretation tag)",
            where=path,
            remedy="Export the plane with PhotometricInterpretation 1 (min-is-black).",
        )
    if photometric in {_WHITE, _BLACK}:
        return photometric == _WHITE
    raise not_grey(_PHOTOMETRIC.get(photometric, f"of PhotometricInterpretation {photometric}"), path)


def check_samples(bits: tuple[int, ...], formats: tuple[int, ...], path: Path) -> np.dtype[np.uint8 | np.uint16]:
    """Check the number format of the pixels, and return their type.

    Parameters
    ----------
    bits : tuple of int
        Bits of each sample of a pixel.
    formats : tuple of int
        The SampleFormat tag of TIFF. Empty if it is missing.
    path : pathlib.Path
        The file, for messages.

    Raises
    ------
    PlaneError
        They are not one unsigned number of 8 or 16 bits. The message names what they are.
    """
    if len(bits) != 1:
        raise not_grey(f"a picture of {len(bits)} samples a pixel", path)
    stored = formats[0] if formats else _UNSIGNED
    if stored not in _FORMATS:
        raise not_grey(f"of SampleFormat {stored}", path)
    if stored == _UNSIGNED and bits[0] in DEPTHS:
        return np.dtype(f"u{bits[0] // 8}")
    if stored == _UNSIGNED and bits[0] == 1:
        raise not_grey("a black-and-white picture", path)
    packed = "packed " if bits[0] % 8 else ""
    raise not_grey(f"a picture of {packed}{_FORMATS[stored]}{bits[0]}-bit pixels", path)


def not_grey(what: str, path: Path) -> PlaneError:
    """Make the error for an undamaged file whose pixels are not one unsigned number of 8 or 16 bits."""
    return PlaneError(
        f"the plane is {what}, not grey of 8 or 16 bits",
        where=path,
        remedy=_EXPORT_GREY,
    )
