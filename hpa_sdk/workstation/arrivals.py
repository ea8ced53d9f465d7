"""Detects when a field has arrived: all of its files exist, and no program is still writing them.

It polls the folder. Events of the system would be faster, but network shares do not send them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hpa_sdk.fields.file_group import FileGroup, group_names
from hpa_sdk.files.file_state import FileStamp, FileState
from hpa_sdk.results.result_ledger import Ledger
from hpa_sdk.workstation.earlier_writing import find_earlier
from hpa_sdk.workstation.folder_turns import FolderTurns
from hpa_sdk.workstation.station import Station
from hpa_sdk.workstation.watched_files import is_folder, is_plane_file, list_names, opens, read_stamp

LOOKS_A_ROUND = 32
"""Number of looks in which every processed file is checked once for a new writing."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A field to be answered.

    Attributes
    ----------
    group : FileGroup
        Its files.
    stamps : dict of str to FileStamp
        Its files by their names below the watched folder, as they were when they had settled.
    complete : bool
        Whether each channel has its files and they can be opened; if not, the wait for one of them has timed out.
    again : bool
        Whether it was returned before, and requeued by `Arrivals.requeue`.
    notes : tuple of str
        Which of its files belong to an earlier writing than the others.
    """

    group: FileGroup
    stamps: dict[str, FileStamp]
    complete: bool
    again: bool
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _File:
    field: str
    stamp: FileStamp
    since: float
    looks: int = 1
    again: bool = False


class Arrivals:
    """The fields that arrive in a folder. Memory grows with the files in the folder, not with time.

    Parameters
    ----------
    station : Station
        What the microscope writes, and when a file counts as written.
    ledger : Ledger
        The processed files.
    """

    def __init__(self, station: Station, ledger: Ledger) -> None:
        self._station = station
        self._ledger = ledger
        self._done: dict[str, FileStamp] = {}
        self._ignored: set[str] = set()
        self._files: dict[str, _File] = {}
        self._fields: dict[str, set[str]] = {}
        self._given: set[str] = set()
        self._turns: Iterator[str] = iter(())
        self._folder_turns = FolderTurns()

    def look(self, most: int) -> list[Arrived]:
        """Look at the folder and return fields that have arrived, each once, in the order in which they were seen.

        A field that was returned is not returned again before `requeue` or `finish` is called for it.

        Parameters
        ----------
        most : int
            Maximum number of fields; the others are returned later.

        Raises
        ------
        OSError
            The folder can't be listed, for example if a share is not available.
        """
        now = time.monotonic()
        try:
            names = list_names(self._station.watch, recursive=self._station.files.recursive)
        except OSError:
            # No program could write to it meanwhile: all waiting times start again when it is back.
            self._files.clear()
            self._fields.clear()
            raise
        self._remove_missing(names)
        for name in sorted(names - self._done.keys() - self._ignored):
            self._see(name, now)
        self._recheck_done()
        arrived = (self._arrived(field, now) for field in self._fields)
        taken = list(islice((field for field in arrived if field), most))
        for field in taken:
            self._take(field)
        return taken

    def begin(self, *, skip: bool) -> None:
        """Begin with a new ledger, only once: count all existing files as processed, or none.

        Raises
        ------
        OSError
            The folder can't be listed.
        """
        if self._ledger.fact("begun") is not None:
            return
        names = list_names(self._station.watch, recursive=self._station.files.recursive) if skip else set()
        found = [(group.id, name, self._read_stamp(name)) for name in names for group in self._group(name)]
        with self._ledger.transaction():
            for field, name, stamp in found:
                if stamp is not None:
                    self._ledger.set_done(field, {name: stamp})
            self._ledger.set_fact("begun", 1)

    def requeue(self, arrived: Arrived) -> None:
        """Let a field that was returned arrive again: its files have to settle again."""
        self.finish(arrived)
        now = time.monotonic()
        for name, stamp in arrived.stamps.items():
            self._done.pop(name, None)
            self._files[name] = _File(arrived.group.id, stamp, now, again=True)
        self._fields.setdefault(arrived.group.id, set()).update(arrived.stamps)

    def finish(self, arrived: Arrived) -> None:
        """Record that a field that was returned is finished, and its files are in the ledger."""
        self._given.discard(arrived.group.id)

    def unchanged(self, arrived: Arrived) -> bool:
        """Return whether the files of a field that was returned are unchanged."""
        return all(self._read_stamp(name) == stamp for name, stamp in arrived.stamps.items())

    def is_of(self, files: Iterable[FileState], arrived: Arrived) -> bool:
        """Return whether files that were read are those of a returned field, as they were when they had settled.

        A further file of the same stack must have settled too, and a file of no field, such as an index, must be as it
        was read.
        """
        own = {str(self._path(name)): stamp for name, stamp in arrived.stamps.items()}
        settled = ((file, own.get(file.path) or self._settled(Path(file.path))) for file in files)
        return all(stamp is not None and stamp.matches(file.stamp) for file, stamp in settled)

    def _settled(self, path: Path) -> FileStamp | None:
        name = self._name(path)
        if name in self._done:
            return self._done[name]
        return None if self._group(name) else read_stamp(path)

    def group_of(self, path: Path) -> str | None:
        """Return the field of a file by its name, as of a further file of a stack; None if it belongs to none.

        It is the field of that file only, regardless of the other files that are read with it.
        """
        groups = self._group(self._name(path))
        return groups[0].id if groups else None

    def renew(self, path: Path) -> None:
        """Let a processed field arrive again, because a further file that it is read from was written."""
        name = self._name(path)
        group = self.group_of(path)
        if name in self._done and group is not None and group not in self._given:
            self._files[name] = _File(group, self._done.pop(name), time.monotonic())
            self._fields.setdefault(group, set()).add(name)

    def _name(self, path: Path) -> str:
        """Return the name of a file below the watched folder; for a file elsewhere, a name of no field."""
        try:
            return path.relative_to(self._station.watch).as_posix()
        except ValueError:
            return ""

    def _see(self, name: str, now: float) -> None:
        file = self._files.get(name)
        groups = [] if file else self._group(name)
        if not file and not groups:
            # Never checked again: the folder can contain very many other files.
            self._ignored.add(name)
            return
        stamp = self._read_stamp(name)
        if stamp is None:
            return
        if file is None:
            known = self._ledger.stamp(name)
            if known is not None and known.matches(stamp):
                self._done[name] = stamp
                return
            self._files[name] = _File(groups[0].id, stamp, now)
            self._fields.setdefault(groups[0].id, set()).add(name)
        elif file.stamp == stamp:
            file.looks += 1
        else:
            self._files[name] = _File(file.field, stamp, now, again=file.again)

    def _recheck_done(self) -> None:
        """Check whether processed files were written again: some of them at each look, in turn."""
        turn = list(islice(self._turns, len(self._done) // LOOKS_A_ROUND + 1))
        if not turn:
            files: list[str] = []
            folders: list[str] = []
            for name in self._done:
                (folders if is_folder(name) else files).append(name)
            self._turns = iter(files)
            self._folder_turns.renew(folders)
        for names in (turn, self._folder_turns.now()):
            for name in names:
                self._check_done(name)

    def _check_done(self, name: str) -> bool:
        """Return whether a processed file is unchanged; if not, the next look sees it as a new one."""
        done = self._done.get(name)
        if done is None or self._read_stamp(name) == done:
            return True
        del self._done[name]
        return False

    def _group(self, name: str) -> list[FileGroup]:
        known = is_plane_file(self._station.watch, name)
        return group_names(self._station, self._station.watch, [name]) if known else []

    def _arrived(self, field: str, now: float) -> Arrived | None:
        # A plane that arrives while the others are being answered belongs to them; the ledger shows that once they are.
        if field in self._given:
            return None
        arrival = self._station.arrival
        files = [self._files[name] for name in self._fields[field]]
        quiet = now - max(file.since for file in files)
        if quiet < arrival.settle_seconds or min(file.looks for file in files) < arrival.looks:
            return None
        # A plane that arrives late, or again, forms a field with those that were processed before.
        earlier = [name for name in self._ledger.files_of(field) if name in self._done]
        groups = group_names(self._station, self._station.watch, self._fields[field].union(earlier))
        # With another pattern than last time, processed files may now belong to another field.
        group = next(group for group in groups if group.id == field)
        inside = set(group.files)
        names = [name for name in sorted(self._fields[field].union(earlier)) if self._path(name) in inside]
        # Each look checks only some of the processed files, so these may have been written again unnoticed.
        if not all(self._check_done(name) for name in names if name not in self._files):
            return None
        stamps = {name: self._files[name].stamp if name in self._files else self._done[name] for name in names}
        complete = group.is_complete(self._station) and all(opens(file, self._station.files) for file in group.files)
        timeout = arrival.plane_timeout_seconds
        writing = find_earlier(stamps, self._ledger, self._station.watch, apart_seconds=timeout)
        if quiet < timeout and (writing.rewritten or not complete):
            return None
        notes = (writing.note,) if writing.note else ()
        return Arrived(group, stamps, complete, again=any(file.again for file in files), notes=notes)

    def _take(self, arrived: Arrived) -> None:
        self._given.add(arrived.group.id)
        self._done.update(arrived.stamps)
        for name in self._fields.pop(arrived.group.id):
            del self._files[name]

    def _remove_missing(self, present: set[str]) -> None:
        self._ignored &= present
        for name in self._done.keys() - present:
            del self._done[name]
        for name in self._files.keys() - present:
            field = self._files.pop(name).field
            self._fields[field].discard(name)
            if not self._fields[field]:
                del self._fields[field]

    def _path(self, name: str) -> Path:
        return Path(self._station.watch, name)

    def _read_stamp(self, name: str) -> FileStamp | None:
        return read_stamp(self._path(name))
