"""Reads the four planes of a sample safely: size and form are checked before any pixel is decoded."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.picture_file import read_picture
from hpa_sdk.fields.samples import Channel, FieldPlanes, Sample
from hpa_sdk.files.file_state import FileState
from hpa_sdk.preprocessing import Planes


def read_field(sample: Sample, channels: Collection[str] = tuple(Channel)) -> FieldPlanes:
    """Read the planes of a sample, and record the state of the files.

    Parameters
    ----------
    sample : Sample
        Four files, each a grey PNG, JPEG or single-plane TIFF of 8 or 16 bits, or a JPEG in its channel's pseudocolour;
        or a source that reads other files.
    channels : collection of str
        The channels that are read from such files. The planes of the others are black. A source reads those of its own
        rules.

    Raises
    ------
    PlaneError
        A plane is missing, empty, damaged, not grey, too large or too small, the planes differ in size or bit depth, or
        a file was changed while the field was read.
    """
    if sample.problem is not None:
        raise sample.problem
    if sample.source is not None:
        read = sample.source.read()
        return replace(read, notes=(sample.note, *read.notes)) if sample.note else read
    planes: dict[Channel, Planes] = {}
    notes = [sample.note] if sample.note else []
    taken = {channel: file for channel, file in zip(Channel, sample.files, strict=True) if channel in channels}
    with unchanged(taken.values()) as files:
        for channel, file in taken.items():
            try:
                planes[channel], done = read_picture(file, channel)
            except FileNotFoundError as error:
                raise missing_plane(channel, file) from error
            notes += [f"{channel}: {note}" for note in done]
    names = dict(zip(Channel, names_of(sample.files), strict=True))
    origins = tuple(name if channel in taken else UNUSED for channel, name in names.items())
    return FieldPlanes(stack_planes(planes, sample.files[0]), files, tuple(notes), channels=origins)


UNUSED = "unused plane"
"""What stands in `FieldPlanes.channels` for a channel that the model does not use."""


def names_of(files: Sequence[Path]) -> tuple[str, ...]:
    """Name the files of channels so that they differ: with their folders if these distinguish the channels."""
    names = tuple(file.name for file in files)
    return names if len(set(names)) == len(names) else tuple(f"{file.parent.name}/{file.name}" for file in files)


def read_planes(sample: Sample, channels: Collection[str] = tuple(Channel)) -> Planes:
    """Read the four planes of a sample: uint8 or uint16 of shape (4, H, W), in the order red, green, blue, yellow.

    Parameters
    ----------
    sample, channels
        As for `read_field`.

    Raises
    ------
    PlaneError
        As for `read_field`.
    """
    return read_field(sample, channels).planes


@contextmanager
def unchanged(files: Iterable[Path]) -> Iterator[tuple[FileState, ...]]:
    """Yield the state of the files, and check after the block that it is unchanged.

    A file that is missing or whose status can't be read is left to the block to report.

    Raises
    ------
    PlaneError
        A file was written, replaced or removed meanwhile, so the data may be from two different times.
    """
    files = tuple(files)
    before = settled(files)
    yield tuple(state for state in before if state is not None)
    for file, state in zip(files, before, strict=True):
        if _look(file) != state:
            raise PlaneError("the file was changed while its field was read", where=file, remedy=_WHEN_DONE)


def settled(files: Sequence[Path]) -> tuple[FileState | None, ...]:
    """Return the state of files once every later change would show in their stamps; None for an unreadable one.

    Raises
    ------
    PlaneError
        A file is still being written.
    """
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
    """Make the error for a missing plane of a field."""
    return PlaneError(
        f"the {channel} plane is missing",
        where=where,
        remedy="Put it there, or use a model that does not take this channel.",
    )


def stack_planes(planes: Mapping[Channel, Planes], where: Path) -> Planes:
    """Stack the planes of a field.

    Parameters
    ----------
    planes : mapping of Channel to numpy.ndarray
        uint8 or uint16 of shape (H, W), at least one. A channel that is not there becomes black.
    where : pathlib.Path
        Where they come from, for messages.

    Returns
    -------
    numpy.ndarray
        Of shape (4, H, W), in the order of `Channel`.

    Raises
    ------
    PlaneError
        They differ in size or bit depth.
    """
    if len({(plane.shape, plane.dtype) for plane in planes.values()}) > 1:
        forms = ", ".join(
            f"{channel} {planes[channel].shape[1]}x{planes[channel].shape[0]} {planes[channel].dtype}"
            for channel in Channel
            if channel in planes
        )
        raise PlaneError(
            f"the {'four ' if len(planes) == len(Channel) else ''}planes differ in size or depth ({forms})",
            where=where,
            remedy="Export the channels of the field with the same settings.",
        )
    black = next(iter(planes.values())) if len(planes) == len(Channel) else np.zeros_like(next(iter(planes.values())))
    return cast("Planes", np.stack([planes.get(channel, black) for channel in Channel]))


def read_plane(path: Path, channel: Channel | None = None) -> Planes:
    """Read one plane.

    Checksums in the file are verified: in PNG, and in TIFF compressed by Deflate or LZMA. A plane that is stored
    inverted (min-is-white) or not upright (Orientation) is corrected: see `hpa_sdk.fields.pixel_rules`.

    Parameters
    ----------
    path : pathlib.Path
        A grey PNG, JPEG or single-plane TIFF of 8 or 16 bits per pixel. Its first bytes decide, not its extension.
    channel : Channel, optional
        The channel of the plane. If it is given, a JPEG in the pseudocolour of the channel is read too, as the Human
        Protein Atlas publishes planes.

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
    plane, _ = read_picture(path, channel)
    return plane
