"""Stores the files that clients send below the results, under checked names and up to a size limit."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from hpa_sdk.errors import OutputError, SampleError
from hpa_sdk.results.result_store import UPLOADS
from hpa_sdk.workstation.field_cells import CELLS_FOLDER

MAX_FILES = 256
"""Maximum number of files of a field: four channels of 64 z planes."""

MAX_BYTES = 4 * 2**30
"""Maximum bytes of sent planes, and tables of their cells, that are stored: the oldest are removed first, and results
are never removed."""

_LONGEST_NAME = 120
# Paths, characters that Windows does not allow in names, and its reserved names.
_REFUSED = re.compile(r'[<>:"|?*\\/\x00-\x1f\x7f]|[. ]$|^\.|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)', re.IGNORECASE)


class Uploads:
    """The folder of uploads. For any thread.

    Parameters
    ----------
    output : pathlib.Path
        The folder for results.
    max_bytes : int
        Maximum bytes of planes and tables that are stored, without those of fields that are being answered.
    """

    def __init__(self, output: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.folder = output / UPLOADS
        self._tables = output / CELLS_FOLDER / UPLOADS
        self._limit = max_bytes
        self._lock = threading.Lock()
        # The oldest first. A process that was killed can have left tables without planes.
        self._bytes = {name: self._length(name) for name in _folders(self.folder, self._tables)}

    def remove_orphans(self, has_result: Callable[[str], bool]) -> None:
        """Remove tables of fields whose planes are gone and that have no result: nobody can see them.

        Each server makes the folder of the planes first and removes it last, so no server is at work with such tables.

        Parameters
        ----------
        has_result : callable
            Whether there is a result with an id below a folder of uploads, such as ``"hpa-uploads/20260131-..."``.
        """
        with self._lock:
            for moment in _folders(self._tables):
                if not (self.folder / moment).is_dir() and not has_result(f"{UPLOADS}/{moment}"):
                    self._remove(moment)

    def store(self, files: Sequence[tuple[str, IO[bytes]]]) -> list[str]:
        """Write the files of one field into a folder of their own, which is there until `finish` or `discard`.

        Parameters
        ----------
        files : sequence of (str, file)
            Names and content.

        Returns
        -------
        list of str
            Their paths below the folder for results, with slashes.

        Raises
        ------
        SampleError
            There are none or too many, or one has a name that is not allowed.
        OutputError
            They can't be written.
        """
        _check_names([name for name, _ in files])
        moment = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(2)}"
        folder = self.folder / moment
        try:
            folder.mkdir(parents=True)
            for name, content in files:
                with (folder / name).open("xb") as file:
                    shutil.copyfileobj(content, file, 2**20)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise OutputError(
                f"the files that were sent can't be stored ({error.strerror})",
                where=self.folder,
                remedy="Check that the folder for results is there and writable, and its disk not full.",
            ) from error
        return [f"{UPLOADS}/{moment}/{name}" for name, _ in files]

    def finish(self, names: Sequence[str]) -> None:
        """Count files that `store` wrote, and the tables of their cells, and remove the oldest fields if necessary."""
        moment = _moment(names)
        with self._lock:
            self._bytes[moment] = self._length(moment)
            excess = sum(self._bytes.values()) - self._limit
            for oldest in list(self._bytes)[:-1]:
                if excess <= 0:
                    break
                excess -= self._remove(oldest)

    def discard(self, names: Sequence[str]) -> None:
        """Remove files that `store` wrote and that are not a field, and the tables of their cells."""
        moment = _moment(names)
        # The planes last: tables alone would be those of no field.
        for folder in (self._tables, self.folder):
            shutil.rmtree(folder / moment, ignore_errors=True)
        # On Windows a file that is being read stays.
        if left := self._length(moment):
            with self._lock:
                self._bytes[moment] = left

    def _remove(self, moment: str) -> int:
        """Remove the planes and tables of a field, and return how many bytes they had."""
        for file in self._files(moment):
            # On Windows a file that is being read can't be removed: it stays, and counts, until another field comes.
            with suppress(OSError):
                file.unlink()
        before, after = self._bytes.pop(moment), self._length(moment)
        if after:
            self._bytes = {moment: after, **self._bytes}
        else:
            shutil.rmtree(self._tables / moment, ignore_errors=True)
        return before - after

    def _files(self, moment: str) -> list[Path]:
        planes = [file for file in self.folder.joinpath(moment).glob("*") if file.suffix != ".json"]
        return [*planes, *filter(Path.is_file, self._tables.joinpath(moment).rglob("*"))]

    def _length(self, moment: str) -> int:
        length = 0
        for file in self._files(moment):
            # Another server of the same folder removed it; on Windows it can still be open, and have no size.
            with suppress(OSError):
                length += file.stat().st_size
        return length


def _check_names(names: list[str]) -> None:
    if not 0 < len(names) <= MAX_FILES:
        raise SampleError(
            f"{len(names)} files were sent; a field has 1 to {MAX_FILES}",
            remedy="Send one field at a time: one stack, or its four planes.",
        )
    for name in names:
        if not name or len(name.encode("utf-8", "replace")) > _LONGEST_NAME or _REFUSED.search(name):
            raise SampleError(
                f"{name[:_LONGEST_NAME]!r} can't be the name of a file here",
                remedy="Send the bare name, without folders, such as field-1_red.png.",
            )
    if len({name.casefold() for name in names}) < len(names):
        raise SampleError("two files have the same name", remedy="Send one field at a time.")


def _folders(*uploads: Path) -> list[str]:
    there = (folder for folder in uploads if folder.is_dir())
    return sorted({each.name for folder in there for each in folder.iterdir() if each.is_dir()})


def _moment(names: Sequence[str]) -> str:
    return names[0].split("/")[1]
