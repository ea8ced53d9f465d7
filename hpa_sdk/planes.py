"""Reads the four planes of a sample safely: size and form are checked before a pixel is decoded."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt
from PIL import ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from hpa_sdk.errors import HpaError, PlaneError
from hpa_sdk.file_state import FileState
from hpa_sdk.painted import plane_of_painted
from hpa_sdk.samples import Channel, FieldPlanes, Sample

Planes = npt.NDArray[np.uint8 | np.uint16]
"""The channels of one field: uint8 or uint16 of shape (4, H, W), in the order red, green, blue, yellow."""

MAX_PIXELS = 64 * 1024 * 1024
"""Largest plane that is decoded: 8192 x 8192. The largest confocal fields are 4096 x 4096."""

MIN_SIDE = 16
"""Shortest side of a plane in pixels; below it there is no picture of a cell."""

# The plugin is chosen by the file's first bytes, so that neither a wrong extension nor one of Pillow's sixty other
# formats ever reaches a decoder, and so that the size limit is ours alone and needs no process-wide setting.
_FORMATS: dict[bytes, type[ImageFile.ImageFile]] = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"II*\x00": TiffImagePlugin.TiffImageFile,
    b"MM\x00*": TiffImagePlugin.TiffImageFile,
}

_GREY_MODES = ("L", "I;16", "I;16B", "I;16L")

_MODE_NAMES = {
    "1": "a black-and-white picture",
    "LA": "a grey picture with an alpha channel",
    "P": "a palette picture",
    "RGB": "a colour (RGB) picture",
    "RGBA": "a colour picture with an alpha channel",
    "F": "a floating-point picture",
    "I": "a 32-bit picture",
}


def read_field(sample: Sample) -> FieldPlanes:
    """Read the four planes of a sample, and say of which files, as they were then.

    Parameters
    ----------
    sample : Sample
        Four files, each a grey PNG, JPEG or single-plane TIFF of 8 or 16 bits, or a JPEG in its channel's colour; or a
        source that reads others.

    Raises
    ------
    PlaneError
        A plane is missing, empty, damaged, not grey, too large or too small, the four differ in size or depth, or a
        file was changed while the field was read.
    """
    if sample.source is not None:
        return sample.source.read()
    with unchanged(sample.files) as files:
        planes = []
        for channel, file in zip(Channel, sample.files, strict=True):
            try:
                planes.append(read_plane(file, channel))
            except FileNotFoundError as error:
                raise missing_plane(channel, file) from error
    return FieldPlanes(stack_planes(planes, sample.files[0]), files)


def read_planes(sample: Sample) -> Planes:
    """Read the four planes of a sample: uint8 or uint16 of shape (4, H, W), in the order red, green, blue, yellow.

    Raises
    ------
    PlaneError
        As for `read_field`.
    """
    return read_field(sample).planes


@contextmanager
def unchanged(files: Iterable[Path]) -> Iterator[tuple[FileState, ...]]:
    """Give the files as they are, and make sure that they still are when the block has read them.

    A file that is not there, or can't be looked at, is left for the block to complain of.

    Raises
    ------
    PlaneError
        A file was written, replaced or removed meanwhile: what was read may be of two moments.
    """
    files = tuple(files)
    before = _settled(files)
    yield tuple(state for state in before if state is not None)
    for file, state in zip(files, before, strict=True):
        if _look(file) != state:
            raise PlaneError("the file was changed while its field was read", where=file, remedy=_WHEN_DONE)


def _settled(files: Sequence[Path]) -> tuple[FileState | None, ...]:
    """Look at files when every change from then on shows in their stamps."""
    states: tuple[FileState | None, ...] = ()
    for _ in range(_LOOKS):
        before, states = states, tuple(map(_look, files))
        wait = max((state.stamp.unsettled_seconds for state in states if state is not None), default=0.0)
        if not wait or states == before:
            return states
        time.sleep(wait)
    raise PlaneError("a file of the field is still being written", where=files[0], remedy=_WHEN_DONE)


def _look(file: Path) -> FileState | None:
    try:
        return FileState.of(file)
    except OSError:
        return None


_LOOKS = 5
_WHEN_DONE = "Predict the field again when nobody writes to it any more."


def missing_plane(channel: Channel, where: Path | str) -> PlaneError:
    """Make the error that tells which plane of a field is not where it should be."""
    return PlaneError(
        f"the {channel} plane is missing", where=where, remedy="A field needs its four planes side by side."
    )


def stack_planes(planes: Sequence[Planes], where: Path) -> Planes:
    """Put the four planes of a field together.

    Parameters
    ----------
    planes : sequence of numpy.ndarray
        Four planes, uint8 or uint16 of shape (H, W), in the order of `Channel`.
    where : pathlib.Path
        Where they come from, for messages.

    Returns
    -------
    numpy.ndarray
        Of shape (4, H, W).

    Raises
    ------
    PlaneError
        They differ in size or depth.
    """
    if len({(plane.shape, plane.dtype) for plane in planes}) > 1:
        forms = ", ".join(
            f"{channel} {plane.shape[1]}x{plane.shape[0]} {plane.dtype}"
            for channel, plane in zip(Channel, planes, strict=True)
        )
        raise PlaneError(
            f"the four planes differ in size or depth ({forms})",
            where=where,
            remedy="Export the four channels of the field with the same settings.",
        )
    return cast("Planes", np.stack(planes))


def read_plane(path: Path, channel: Channel | None = None) -> Planes:
    """Read one plane.

    Parameters
    ----------
    path : pathlib.Path
        A grey PNG, JPEG or single-plane TIFF of 8 or 16 bits a pixel. Its first bytes count, not its extension.
    channel : Channel, optional
        What the plane shows. Where it is known, a JPEG painted in its colour is read too, as the Human Protein Atlas
        publishes planes.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16 of shape (H, W).

    Raises
    ------
    PlaneError
        The file can't be read, is not such a picture, or is larger than `MAX_PIXELS` or smaller than `MIN_SIDE`.
    FileNotFoundError
        There is no such file.
    """
    with told_as_plane_errors(path), path.open("rb") as file, _open_image(file, path) as image:
        if channel is not None and image.mode == "RGB" and isinstance(image, JpegImagePlugin.JpegImageFile):
            check_size(*image.size, path)
            return plane_of_painted(image, channel, path)
        _check_form(image, path)
        plane = np.asarray(image)
        return plane.astype(np.uint8 if image.mode == "L" else np.uint16, copy=False)


@contextmanager
def told_as_plane_errors(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into a `PlaneError` that names the file.

    Raises
    ------
    PlaneError
        The file can't be read, or is damaged.
    FileNotFoundError
        There is no such file.
    """
    try:
        yield
    except (HpaError, FileNotFoundError):
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise PlaneError(f"the plane can't be read ({reason})", where=path, remedy=_COPY_AGAIN) from error
    except Exception as error:  # decoders of damaged files raise whatever comes, and each is the file's fault
        raise PlaneError(f"the plane is damaged ({error})", where=path, remedy=_COPY_AGAIN) from error


def check_size(width: int, height: int, path: Path) -> None:
    """Check the size of a plane before it is decoded.

    Raises
    ------
    PlaneError
        It has more than `MAX_PIXELS`, or a side shorter than `MIN_SIDE`.
    """
    if width * height > MAX_PIXELS:
        raise PlaneError(
            f"the plane has {width}x{height} pixels, more than the {MAX_PIXELS:,} that are read",
            where=path,
            remedy="Cut it into fields of view first.",
        )
    if min(width, height) < MIN_SIDE:
        raise PlaneError(
            f"the plane has {width}x{height} pixels; a side needs at least {MIN_SIDE}",
            where=path,
            remedy="Give a whole field of view.",
        )


_COPY_AGAIN = "Copy or export the file again; if it still fails, leave the field out."


def _open_image(file: BinaryIO, path: Path) -> ImageFile.ImageFile:
    start = file.read(8)
    file.seek(0)
    if not start:
        raise PlaneError("the file is empty", where=path, remedy=_COPY_AGAIN)
    for magic, open_format in _FORMATS.items():
        if start.startswith(magic):
            return open_format(file, path.name)
    raise PlaneError(
        "this is no PNG, JPEG or TIFF file",
        where=path,
        remedy="Export the plane as a grey PNG or TIFF of 8 or 16 bits.",
    )


def _check_form(image: ImageFile.ImageFile, path: Path) -> None:
    check_size(*image.size, path)
    if image.mode not in _GREY_MODES:
        raise PlaneError(
            f"the plane is {_MODE_NAMES.get(image.mode, f'of mode {image.mode}')}, not grey of 8 or 16 bits",
            where=path,
            remedy="Export each channel as one grey picture, without colour table or alpha channel.",
        )
    if getattr(image, "n_frames", 1) > 1:
        raise PlaneError(
            "the file holds more than one picture", where=path, remedy="Export each channel as a file of its own."
        )
