"""Puts the planes of the Kaggle set into a data set, and checks them."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm import tqdm

from hpa_sdk.errors import DownloadError, PlaneError
from hpa_sdk.fields.reading import read_plane
from hpa_sdk.fields.samples import Channel

SIDE = 512
"""Height and width of the planes in pixels."""

FIELDS_TRIED = 100
"""Number of fields, evenly spread over the table, whose planes are decoded."""


def place_planes(source: Path, folder: Path, field_ids: Collection[str]) -> None:
    """Put the planes of these fields into a folder; planes that the source lacks stay missing.

    Parameters
    ----------
    source : pathlib.Path
        A zip archive, or a folder of planes.
    folder : pathlib.Path
        Where to put them.
    field_ids : collection of str
        The fields.

    Raises
    ------
    DownloadError
        The source is neither of the two.
    OSError
        The disk is full.
    """
    names = {f"{field_id}_{channel}.png" for field_id in field_ids for channel in Channel}
    if source.is_dir():
        _link(source, folder, names)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            _extract(archive, folder, names)
    except (zipfile.BadZipFile, FileNotFoundError) as error:
        raise DownloadError(
            f"the planes are not there ({error})", where=source, remedy="Delete this from the cache and run again."
        ) from error


def check_planes(folder: Path, field_ids: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Check that each field has its four planes, and decode those of some fields.

    Yields
    ------
    tuple of str
        Field, channel and reason of each plane that is missing, empty, or of another form.
    """
    with os.scandir(folder) as entries:
        sizes = {entry.name: entry.stat().st_size for entry in entries}
    tried = {field_ids[row] for row in np.linspace(0, len(field_ids) - 1, FIELDS_TRIED, dtype=int)}
    for field_id in tqdm(field_ids, desc="checking", unit=" fields", disable=None):
        for channel in Channel:
            name = f"{field_id}_{channel}.png"
            reason = _fault(folder / name, sizes.get(name), decode=field_id in tried)
            if reason:
                yield field_id, channel.value, reason


def _fault(file: Path, bytes_in_file: int | None, *, decode: bool) -> str | None:
    if not bytes_in_file:
        return "the plane is missing" if bytes_in_file is None else "the file is empty"
    if not decode:
        return None
    try:
        plane = read_plane(file)
    except PlaneError as error:
        return error.what
    if plane.shape != (SIDE, SIDE) or plane.dtype != np.uint8:
        return f"the plane is {plane.shape[1]}x{plane.shape[0]} {plane.dtype}, not {SIDE}x{SIDE} uint8"
    return None


def _link(source: Path, folder: Path, names: Collection[str]) -> None:
    with os.scandir(source) as entries:
        present = [entry.name for entry in entries if entry.name in names]
    for name in tqdm(present, desc="placing", unit=" planes", disable=None):
        try:
            # A hard link: it works on NTFS too, without the rights that a symbolic link needs there.
            (folder / name).hardlink_to(source / name)
        except OSError:  # another disk, or a file system without hard links
            shutil.copyfile(source / name, folder / name)


def _extract(archive: zipfile.ZipFile, folder: Path, names: Collection[str]) -> None:
    for member in tqdm(archive.infolist(), desc="extracting", unit=" planes", disable=None):
        name = PurePosixPath(member.filename).name
        if name not in names:
            continue
        try:
            with archive.open(member) as packed, (folder / name).open("wb") as file:
                shutil.copyfileobj(packed, file)
        except (zipfile.BadZipFile, zlib.error, EOFError):
            # The later check reports it as missing.
            (folder / name).unlink()
