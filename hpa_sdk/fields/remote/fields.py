"""Finds the fields of an archive and reads their planes, like the modules for local disks."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from hpa_sdk.errors import HpaError, PlaneError, SampleError
from hpa_sdk.fields.plane_files import EXTENSIONS, choose_planes, names_by_stem
from hpa_sdk.fields.reading import UNUSED, missing_plane, names_of, read_plane, stack_planes
from hpa_sdk.fields.remote.archive import Archive, Marks, stamp_of
from hpa_sdk.fields.remote.web_listing import encoded, is_web, readable
from hpa_sdk.fields.samples import Channel, FieldPlanes, Sample
from hpa_sdk.files.file_state import FileStamp, FileState
from hpa_sdk.preprocessing import Planes

DEEPEST = 32
"""Maximum depth of nested folders below the given one."""

MOST_FOLDERS = 100_000
"""Maximum number of folders that are listed below the given one."""


_NOT_ASKED = "whether it was changed while it was read is unknown: the archive did not answer afterwards"
_NO_MARKS = "whether it was changed while it was read is unknown: the archive reports neither its time nor its checksum"


@dataclass(frozen=True)
class RemoteField:
    """The planes of one field in an archive. Can be sent to other processes.

    Attributes
    ----------
    addresses : tuple of str
        The planes of `channels`.
    channels : tuple of Channel
        The channels that are read, in the order of `Channel`.
    expected : str or None
        The required result of `stamp` when the planes are read; None for any.
    """

    addresses: tuple[str, ...]
    expected: str | None = field(default=None, repr=False)
    channels: tuple[Channel, ...] = tuple(Channel)

    def read(self) -> FieldPlanes:
        """Fetch and read the planes.

        Raises
        ------
        PlaneError
            A plane is missing, can't be fetched, was changed while the field was read, or as for
            `hpa_sdk.fields.reading.read_plane`.
        """
        with tempfile.TemporaryDirectory() as folder:
            read = {
                channel: self._read(address, channel, Path(folder) / channel)
                for channel, address in zip(self.channels, self.addresses, strict=True)
            }
        planes = {channel: plane for channel, (plane, _, _) in read.items()}
        files = tuple(file for _, file, _ in read.values())
        notes = self._check_unchanged([marks for _, _, marks in read.values()])
        names = dict(zip(self.channels, names_of(list(map(Path, self.addresses))), strict=True))
        channels = tuple(names.get(channel, UNUSED) for channel in Channel)
        try:
            return FieldPlanes(stack_planes(planes, Path(self.addresses[0])), files, notes, channels=channels)
        except HpaError as error:  # a Path has one slash less than the address
            raise PlaneError(error.what, where=self.addresses[0], remedy=error.remedy) from error

    def stamp(self) -> str | None:
        """Return a text that changes if a plane is changed; None if it can't be determined now."""
        stamps: list[str] = []
        for address in self.addresses:
            stamp = self._archive.stamp(address)
            if stamp is None:
                return None
            stamps.append(stamp)
        return "\n".join(stamps)

    def _check_unchanged(self, read: Sequence[Marks]) -> tuple[str, ...]:
        """Check that all planes are still those that were read: so they were there together.

        Returns
        -------
        tuple of str
            A note if that is unknown.

        Raises
        ------
        PlaneError
            A plane was changed or removed, or a field that is bound to a stamp has another one or can't be checked.
        """
        unknown, stamps = "", []
        for address, before in zip(self.addresses, read, strict=True):
            try:
                now = self._archive.marks(address)
            except FileNotFoundError as error:
                raise _changed(address) from error
            except Exception as error:  # archives raise the exceptions of their libraries
                if self.expected is not None:
                    raise _changed(address, f"it is unknown whether the field was changed ({error})") from error
                unknown = _NOT_ASKED
                continue
            if any(now[name] != before[name] for name in now.keys() & before.keys()):
                raise _changed(address)
            stamps.append(stamp_of(now))
            if not now.keys() & before.keys() - {"size"}:
                unknown = unknown or _NO_MARKS
        if self.expected is not None and stamps != self.expected.split("\n"):
            raise _changed(self.addresses[0])
        return (unknown,) if unknown else ()

    def bound_to(self, stamp: str) -> RemoteField:
        """Return the same field, bound to a stamp: reading it fails if the stamp has changed."""
        return replace(self, expected=stamp)

    @cached_property
    def _archive(self) -> Archive:
        return Archive(self.addresses[0])

    def _read(self, address: str, channel: Channel, file: Path) -> tuple[Planes, FileState, Marks]:
        try:
            content, marks = self._archive.fetch(address)
            # Through a file, so that untrusted bytes reach a decoder only in one way.
            file.write_bytes(content)
            stamp = FileStamp(len(content), sha256=hashlib.sha256(content).hexdigest())
            return read_plane(file, channel), FileState(address, stamp), marks
        except FileNotFoundError as error:
            raise missing_plane(channel, address) from error
        except HpaError as error:
            raise PlaneError(error.what, where=address, remedy=error.remedy) from error


def _changed(where: str, what: str = "the field was changed while it was read") -> PlaneError:
    return PlaneError(what, where=where, remedy="Predict it again when nobody writes to it any more.")


def find_remote_samples(address: str, *, recursive: bool = False, unused: Collection[Channel] = ()) -> Iterator[Sample]:
    """Find the samples at an address.

    Parameters
    ----------
    address : str
        - a folder, such as ``s3://bucket/plates`` or ``https://server/plates/`` (a web server must offer a listing of
          it): every sample in it, sorted by id;
        - a plane, such as ``https://server/plates/0007_red.png``: its sample, with the three other planes.
    recursive : bool
        Also search the folders below a folder.
    unused : collection of Channel
        The channels that are not read.

    Yields
    ------
    Sample
        With a `RemoteField` as its source.

    Raises
    ------
    SampleError
        The address can't be reached, its name is not that of a plane, or the folder contains no sample, or more folders
        than `DEEPEST` and `MOST_FOLDERS` allow.
    """
    archive = Archive(address)
    if is_web(address):
        address = _encoded(address)
    folder, _, name = address.rstrip("/").rpartition("/")
    if name.lower().endswith(EXTENSIONS):
        by_stem = names_by_stem([name])
        if not by_stem:
            raise SampleError(
                "the name does not end with a channel",
                where=address,
                remedy="A plane is named <id>_red, <id>_green, <id>_blue or <id>_yellow, then .png, .tif or .jpg.",
            )
        ((stem, names),) = by_stem.items()
        yield _sample(_readable(address, stem), folder, stem, names, unused)
        return
    found = False
    for prefix, below, names_below in _listings(archive, address, recursive=recursive):
        for stem, names in sorted(names_by_stem(names_below).items()):
            found = True
            yield _sample(f"{prefix}{_readable(address, stem)}", below, stem, names, unused)
    if not found:
        raise SampleError(
            "the folder of the archive holds no sample",
            where=address,
            remedy="Planes are named <id>_red.png, <id>_green.png, <id>_blue.png and <id>_yellow.png (or .tif, .jpg).",
        )


def _encoded(address: str) -> str:
    try:
        return encoded(address)
    except ValueError as error:
        raise SampleError(
            f"this is no address of a web server ({error})",
            where=address,
            remedy="It begins with https://server/.",
        ) from error


def _readable(address: str, name: str) -> str:
    return readable(name) if is_web(address) else name


def _listings(archive: Archive, address: str, *, recursive: bool) -> Iterator[tuple[str, str, list[str]]]:
    """List a folder and the folders below it, sorted: the prefix of their ids, the address, and the file names."""
    waiting = [("", address)]
    known = 1
    while waiting:
        prefix, address = waiting.pop()
        folder = address.rstrip("/")
        files: list[str] = []
        below: list[str] = []
        for entry in archive.list(address):
            name = archive.address(str(entry["name"])).rstrip("/")
            parent, _, last = name.rpartition("/")
            if parent == folder:  # an untrusted listing may contain names outside the folder
                (below if entry["type"] == "directory" else files).append(last)
        yield prefix, folder, files
        if not recursive or not below:
            continue
        known += len(below)
        if prefix.count("/") >= DEEPEST or known > MOST_FOLDERS:
            raise SampleError(
                f"there are more folders than are searched: {DEEPEST} in each other, {MOST_FOLDERS:,} in all",
                where=folder,
                remedy="Name the folders further down one by one.",
            )
        below.sort(reverse=True)  # the last entry is the next one
        waiting.extend((f"{prefix}{_readable(address, last)}/", f"{folder}/{last}/") for last in below)


def _sample(sample_id: str, folder: str, stem: str, names: Sequence[str], unused: Collection[Channel]) -> Sample:
    chosen = choose_planes(names, f"{folder}/{stem}")
    known = next(iter(chosen.names.values()), names[0])
    extension = known[known.rindex(".") :]
    read = tuple(channel for channel in Channel if channel not in unused)
    addresses = tuple(f"{folder}/{chosen.names.get(channel, f'{stem}_{channel}{extension}')}" for channel in read)
    source = RemoteField(addresses, channels=read)
    return Sample(sample_id, tuple(map(Path, addresses)), source, chosen.note, chosen.problem)
