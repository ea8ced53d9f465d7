"""Stores the received part of a file, so that an interrupted transfer can be resumed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from hpa_sdk.errors import DownloadError, OutputError, TransientError
from hpa_sdk.files.atomic_write import FULL_DISK

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class PartialFile:
    """The received part of a remote file, with its version.

    A transfer is resumed only if the server marks versions (a strong ETag, or a date of change), and with
    ``If-Range``: so bytes of two versions are never mixed in one file (RFC 9110, section 13.1.5). An HTTP client may
    write to it as to an open file.

    Parameters
    ----------
    path : pathlib.Path
        Where to store the bytes.
    largest : int
        Largest size in bytes that is accepted.
    """

    def __init__(self, path: Path, *, largest: int) -> None:
        self.path = path
        self._largest = largest
        self._version = path.with_name(f"{path.name}.version")
        self._file: BinaryIO | None = None

    def arrived(self) -> int:
        """Return the number of bytes that have arrived."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def range_headers(self) -> dict[str, str]:
        """Return the headers that request the rest; none if nothing has been received yet."""
        if not self._version.is_file() or not self.arrived():
            return {}
        return {"Range": f"bytes={self.arrived()}-", "If-Range": self._version.read_text(encoding="ascii")}

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Prepare for the content of a response: it is appended if it is the rest of the file, else it replaces it.

        Raises
        ------
        DownloadError
            The file is larger than the largest accepted one.
        TransientError
            The server sends another range than the requested one.
        OutputError
            The disk is full or not writable.
        """
        try:
            if status == HTTPStatus.PARTIAL_CONTENT:
                self._check_range(headers)
            else:
                self._start(headers)
            self._check_size(self.arrived() + int(headers.get("Content-Length", 0)))
            self._file = self.path.open("ab")
        except OSError as error:
            raise self._not_written(error) from error

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises
        ------
        DownloadError, OutputError
            As for `begin`.
        """
        if self._file is None:
            raise ValueError("begin comes first")
        self._check_size(self._file.tell() + len(chunk))
        try:
            self._file.write(chunk)
        except OSError as error:
            raise self._not_written(error) from error

    def flush(self) -> None:
        """Do nothing: bytes that were not written yet are fetched again."""

    def close(self) -> None:
        """Close the file. More can be received later.

        Raises
        ------
        OutputError
            The disk is full.
        """
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                raise self._not_written(error) from error

    def content(self) -> bytes:
        """Return all bytes."""
        return self.path.read_bytes()

    def discard(self) -> None:
        """Discard what has arrived."""
        self.close()
        self.path.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def _start(self, headers: Mapping[str, str]) -> None:
        self.discard()
        version = _version_of(headers)
        if version is not None:
            self._version.write_text(version, encoding="ascii")

    def _check_range(self, headers: Mapping[str, str]) -> None:
        content_range = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if content_range is None or int(content_range[1]) != self.arrived():
            self.discard()
            raise TransientError("the server sends another part than it was asked for", remedy="Run again later.")

    def _check_size(self, size: int) -> None:
        if size > self._largest:
            self.discard()
            raise DownloadError(
                f"the file is larger than {self._largest:,} bytes", remedy="Check that the address is the right one."
            )

    def _not_written(self, error: OSError) -> OutputError:
        what = "the disk is full" if error.errno in FULL_DISK else f"the download can't be written ({error.strerror})"
        return OutputError(
            what,
            where=self.path,
            remedy="Free some space and check that you may write here, then run again to resume.",
        )


def _version_of(headers: Mapping[str, str]) -> str | None:
    tag = headers.get("ETag", "")
    version = tag if tag.startswith('"') else headers.get("Last-Modified")
    # The length of encoded content does not say where the rest starts.
    if headers.get("Content-Encoding", "identity") != "identity":
        return None
    return version if version and version.isascii() else None
