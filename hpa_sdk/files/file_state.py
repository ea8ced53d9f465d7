"""Says which content a file had when it was looked at, so that an answer stays bound to the bytes that it came from."""

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
_INTEGER = 2**63 - 1  # the largest that SQLite keeps
_SECOND = 10**9
# FAT counts by two seconds, other file systems by one, and Linux by up to ten milliseconds.
_COARSE_TICK, _FINE_TICK = 2 * _SECOND + _SECOND // 10, _SECOND // 20
_DAY = 86400 * _SECOND


class FileStamp(NamedTuple):
    """What tells without reading a file that it is another one, or has other content; None where it is not known.

    Attributes
    ----------
    size : int
        Bytes.
    modified : int or None
        Time of the last change of the content, in nanoseconds since 1970.
    inode : int or None
        The file system's own number of the file, its lower 63 bits. A file that takes the place of another one under
        its name has another number, even where size and time are the same.
    changed : int or None
        Time of the last change of the content, name or times, in nanoseconds since 1970. Nobody can set it. Windows
        has none.
    sha256 : str or None
        SHA-256 of the content, for what has none of the others, such as a file in a remote archive.
    """

    size: int
    modified: int | None = None
    inode: int | None = None
    changed: int | None = None
    sha256: str | None = None

    @classmethod
    def of_status(cls, status: os.stat_result) -> Self:
        """Take the stamp from what the system says of a file."""
        changed = None if sys.platform == "win32" else status.st_ctime_ns
        return cls(status.st_size, status.st_mtime_ns, (status.st_ino & _INTEGER) or None, changed)

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Read what `to_text` wrote.

        Raises
        ------
        ValueError
            The text is no such stamp.
        """
        size, *others, sha256 = text.split(" ")
        modified, inode, changed = (None if part == _UNKNOWN else int(part) for part in others)
        return cls(int(size), modified, inode, changed, None if sha256 == _UNKNOWN else sha256)

    def to_text(self) -> str:
        """Write the parts in their order with spaces between, and ``-`` for what is not known."""
        return " ".join(_UNKNOWN if part is None else str(part) for part in self)

    def matches(self, other: FileStamp) -> bool:
        """Whether all that is known of both is the same."""
        return all(mine == its for mine, its in zip(self, other, strict=True) if None not in {mine, its})

    def resembles(self, other: FileStamp) -> bool:
        """Whether size and time are the same, as of a faithful copy: it may well have the same content."""
        return self.size == other.size and self.modified == other.modified and self.sha256 == other.sha256

    @property
    def unsettled_seconds(self) -> float:
        """How long to wait until every further change leaves another stamp; 0 where that is so already.

        Two changes within one tick of a file system's clock leave the same times.
        """
        last = self.modified if self.changed is None else self.changed
        if last is None:
            return 0.0
        # A whole second: a clock that counts by seconds, or once in a hundred million times a finer one.
        tick = _COARSE_TICK if last % _SECOND == 0 else _FINE_TICK
        # A server's clock may be ahead; a time far ahead was set by somebody.
        return tick / _SECOND if -_DAY < time.time_ns() - last < tick else 0.0


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it was when it was read.

    Attributes
    ----------
    path : str
        Where it lay: an absolute path, or an address in an archive.
    stamp : FileStamp
        What it was.
    """

    path: str
    stamp: FileStamp

    @classmethod
    def of(cls, path: Path) -> Self:
        """Look at a file or folder.

        Raises
        ------
        OSError
            It is not there, or can't be looked at.
        """
        return cls(os.fspath(path if path.is_absolute() else path.absolute()), stamp_of(path))


def stamp_of(path: Path | str) -> FileStamp:
    """Look at a file or folder. A folder's stamp is that of all files in it together.

    Raises
    ------
    OSError
        It is not there, or can't be looked at.
    """
    status = os.stat(path)  # noqa: PTH116 - twice as fast as the Path's own
    return _stamp_of_folder(path) if stat.S_ISDIR(status.st_mode) else FileStamp.of_status(status)


def _stamp_of_folder(folder: Path | str) -> FileStamp:
    """Sum up a folder's files: their sizes, their latest times, and in place of an inode a hash of all their stamps."""
    digest = blake2b(digest_size=8)
    size, modified, changed = 0, 0, 0
    for below, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        for name in sorted(names):
            # On Windows a folder's listing says old sizes of files that are being written, so this does not use it.
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
    """Escape what is no Unicode: a file name on Linux can be any bytes, which JSON, Parquet and SQLite refuse."""
    return text.encode("utf-8", "backslashreplace").decode()
