"""Describes the state of a file when it was read, so that an answer is bound to the bytes that it was made from."""

from __future__ import annotations

import os
import stat
import sys
import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Self

_UNKNOWN = "-"
_INTEGER = 2**63 - 1  # the largest that SQLite can store
_SECOND = 10**9
# Times have a resolution of two seconds on FAT, one on other file systems, and up to ten milliseconds on Linux.
_COARSE_TICK, _FINE_TICK = 2 * _SECOND + _SECOND // 10, _SECOND // 20
_DAY = 86400 * _SECOND


class FileStamp(NamedTuple):
    """Identifies the content of a file without reading it. A part is None if it is not known.

    Attributes
    ----------
    size : int
        Bytes.
    modified : int or None
        Time of the last change of the content, in nanoseconds since 1970.
    inode : int or None
        The file system's number of the file, its lower 63 bits. A file that replaces another one under the same name
        has another number, even if size and time are the same.
    changed : int or None
        Time of the last change of the content, name or times, in nanoseconds since 1970. Programs can't set it.
        Windows has none.
    sha256 : str or None
        SHA-256 of the content, for a file that has none of the others, such as one in a remote archive.
    """

    size: int
    modified: int | None = None
    inode: int | None = None
    changed: int | None = None
    sha256: str | None = None

    @classmethod
    def of_status(cls, status: os.stat_result) -> Self:
        """Make the stamp from the status of a file."""
        changed = None if sys.platform == "win32" else status.st_ctime_ns
        return cls(status.st_size, status.st_mtime_ns, (status.st_ino & _INTEGER) or None, changed)

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Parse the output of `to_text`.

        Raises
        ------
        ValueError
            The text is not a stamp.
        """
        size, *others, sha256 = text.split(" ")
        modified, inode, changed = (None if part == _UNKNOWN else int(part) for part in others)
        return cls(int(size), modified, inode, changed, None if sha256 == _UNKNOWN else sha256)

    def to_text(self) -> str:
        """Write the parts in order, separated by spaces, with ``-`` for what is not known."""
        return " ".join(_UNKNOWN if part is None else str(part) for part in self)

    def matches(self, other: FileStamp) -> bool:
        """Whether everything that is known in both stamps is equal."""
        return all(mine == its for mine, its in zip(self, other, strict=True) if None not in {mine, its})

    def resembles(self, other: FileStamp) -> bool:
        """Whether size and time are equal, as for a copy: the content may well be the same."""
        return self.size == other.size and self.modified == other.modified and self.sha256 == other.sha256

    @property
    def unsettled_seconds(self) -> float:
        """How many seconds to wait until every further change gives another stamp; 0 if no wait is needed.

        Two changes within one clock tick of a file system have the same times.
        """
        last = self.modified if self.changed is None else self.changed
        if last is None:
            return 0.0
        # Either the clock counts whole seconds, or a finer clock shows one by chance, once in a hundred million times.
        tick = _COARSE_TICK if last % _SECOND == 0 else _FINE_TICK
        # A server's clock may be ahead. A time far ahead was set on purpose.
        return tick / _SECOND if -_DAY < time.time_ns() - last < tick else 0.0


@dataclass(frozen=True, slots=True)
class FileState:
    """A file and its state when it was read.

    Attributes
    ----------
    path : str
        Its absolute path, or its address in an archive.
    stamp : FileStamp
        Its state.
    """

    path: str
    stamp: FileStamp

    @classmethod
    def of(cls, path: Path) -> Self:
        """Get the state of a file or folder.

        Raises
        ------
        OSError
            It does not exist, or its status can't be read.
        """
        return cls(os.fspath(path if path.is_absolute() else path.absolute()), stamp_of(path))


def stamp_of(path: Path | str) -> FileStamp:
    """Return the stamp of a file or folder. The stamp of a folder covers all files in it.

    Raises
    ------
    OSError
        It does not exist, or its status can't be read.
    """
    status = os.stat(path)  # noqa: PTH116 - twice as fast as the Path's own
    return _stamp_of_folder(path) if stat.S_ISDIR(status.st_mode) else FileStamp.of_status(status)


def _stamp_of_folder(folder: Path | str) -> FileStamp:
    """Combine a folder's files: the sum of their sizes, their latest times, and a hash of their stamps as the inode."""
    digest = blake2b(digest_size=8)
    size, modified, changed = 0, 0, 0
    for below, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        for name in sorted(names):
            # On Windows a folder listing has outdated sizes for files that are being written, so it is not used here.
            file = os.path.join(below, name)  # noqa: PTH118 - as above
            stamp = FileStamp.of_status(os.stat(file))  # noqa: PTH116 - as above
            digest.update(f"{os.path.relpath(file, folder)}\0{tuple(stamp)}\0".encode("utf-8", "surrogateescape"))
            size += stamp.size
            modified = max(modified, stamp.modified or 0)
            changed = max(changed, stamp.changed or 0)
    return FileStamp(size, modified, int.from_bytes(digest.digest()) & _INTEGER, changed or None)


def _raise(error: OSError) -> None:
    raise error


def escaped(text: str) -> str:
    """Escape what is not Unicode: a file name on Linux can be any bytes, but JSON, Parquet and SQLite refuse those."""
    return text.encode("utf-8", "backslashreplace").decode()
