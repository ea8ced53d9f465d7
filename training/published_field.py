"""Reads fields of coloured JPEGs from the disk, as the Human Protein Atlas publishes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from PIL.JpegImagePlugin import JpegImageFile

from hpa_sdk.errors import PlaneError
from hpa_sdk.planes import Planes, missing_plane, read_plane, stack_planes, told_as_plane_errors
from hpa_sdk.samples import Channel, Sample
from training.hpa_form import plane_of_jpeg

_EXTENSIONS = (".jpg", ".jpeg")


@dataclass(frozen=True, slots=True)
class PublishedField:
    """Reads a field whose planes are JPEGs painted in the colours of their channels.

    The plane is taken out of the colours as `download hpa` does it. A plane that is grey is read as it is.

    Attributes
    ----------
    files : tuple of pathlib.Path
        The four planes in the order of `Channel`.
    """

    files: tuple[Path, ...]

    def read(self) -> Planes:
        """Read the planes: uint8 or uint16 of shape (4, H, W), in the order red, green, blue, yellow.

        Raises
        ------
        PlaneError
            A plane is missing or damaged, is painted in other colours than its channel's, or the four differ in size.
        """
        planes = [_read_plane(file, channel) for channel, file in zip(Channel, self.files, strict=True)]
        return stack_planes(planes, self.files[0])


def read_as_published(sample: Sample) -> Sample:
    """Give a sample that has JPEGs the source that reads coloured ones; any other sample as it is."""
    if any(file.suffix.lower() in _EXTENSIONS for file in sample.files):
        return replace(sample, source=PublishedField(sample.files))
    return sample


def _read_plane(file: Path, channel: Channel) -> Planes:
    try:
        with told_as_plane_errors(file):
            return plane_of_jpeg(file.read_bytes(), channel) if _is_coloured(file) else read_plane(file)
    except FileNotFoundError as error:
        raise missing_plane(channel, file) from error
    except PlaneError as error:
        raise PlaneError(error.what, where=file, remedy=error.remedy) from error


def _is_coloured(file: Path) -> bool:
    try:
        with JpegImageFile(file) as image:
            return image.mode == "RGB"
    except (OSError, SyntaxError, ValueError):  # what is wrong with it, the reader of grey planes says
        return False
