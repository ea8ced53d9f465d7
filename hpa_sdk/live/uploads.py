"""Stores the files that clients send below the results, under checked names and up to a size limit."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from hpa_sdk.errors import OutputError, SampleError

UPLOADS = "hpa-uploads"
"""Name of the folder below the results."""

MAX_FILES = 256
"""Maximum number of files of a field: four channels of 64 z planes."""

MAX_BYTES = 4 * 2**30
"""Maximum bytes of sent planes that are stored: the oldest are removed first, and results are never removed."""

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
        Maximum bytes of planes that are stored.
    """

    def __init__(self, output: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.folder = output / UPLOADS
        self._output = output
        self._limit = max_bytes
        self._lock = threading.Lock()
        self._fields = deque((folder, _length(folder)) for folder in _folders(self.folder))
        self._bytes = sum(length for _, length in self._fields)

    def store(self, files: Sequence[tuple[str, IO[bytes]]]) -> list[str]:
        """Write the files of one field into a folder of their own.

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
        with self._lock:
            self._fields.append((folder, _length(folder)))
            self._bytes += self._fields[-1][1]
            self._remove_oldest()
        return [f"{UPLOADS}/{moment}/{name}" for name, _ in files]

    def discard(self, names: Sequence[str]) -> None:
        """Remove files that `store` wrote and that are not a field."""
        shutil.rmtree(self._output.joinpath(names[0]).parent, ignore_errors=True)

    def _remove_oldest(self) -> None:
        while self._bytes > self._limit and len(self._fields) > 1:
            folder, length = self._fields.popleft()
            for plane in _planes(folder):
                plane.unlink(missing_ok=True)
            self._bytes -= length


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


def _folders(uploads: Path) -> list[Path]:
    return sorted(folder for folder in uploads.iterdir() if folder.is_dir()) if uploads.is_dir() else []


def _planes(folder: Path) -> Iterator[Path]:
    return (file for file in folder.glob("*") if file.suffix != ".json")


def _length(folder: Path) -> int:
    return sum(plane.stat().st_size for plane in _planes(folder))
