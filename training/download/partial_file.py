"""Stores the received part of a file, so that an interrupted transfer can be resumed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import httpx

from hpa_sdk.errors import OutputError
from training.download.errors import DownloadError, TransientError

MAX_BYTES = 32 * 1024 * 1024
"""Largest file that is fetched; the published JPEG of a plane of 2048 x 2048 pixels has about 2 MB."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class PartialFile:
    """The received part of a remote file, with its version.

    A transfer is resumed only if the server marks versions (a strong ETag, or a date of change), and with
    ``If-Range``: so bytes of two versions are never mixed in one file (RFC 9110, section 13.1.5).

    Parameters
    ----------
    path : pathlib.Path
        Where to store the bytes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = path.with_name(f"{path.name}.version")

    def range_headers(self) -> dict[str, str]:
        """Return the headers that request the rest; none if nothing has been received yet."""
        if not self._version.is_file() or not self._arrived():
            return {}
        return {"Range": f"bytes={self._arrived()}-", "If-Range": self._version.read_text(encoding="ascii")}

    def receive(self, response: httpx.Response, chunks: Iterable[bytes]) -> None:
        """Write the content of a response: append it if it is the rest of the file, else overwrite.

        Raises
        ------
        DownloadError
            The file is larger than `MAX_BYTES`.
        TransientError
            The server sends another range than the requested one.
        OutputError
            The disk is full or not writable.
        """
        try:
            if response.status_code == httpx.codes.PARTIAL_CONTENT:
                self._check_range(response)
            else:
                self._start(response)
            size = self._arrived()
            self._check_size(size + int(response.headers.get("Content-Length", 0)))
            with self._path.open("ab") as file:
                for chunk in chunks:
                    size += len(chunk)
                    self._check_size(size)
                    file.write(chunk)
        except OSError as error:
            raise OutputError(
                f"the download can't be written ({error.strerror})",
                where=self._path,
                remedy="Free some space and check that you may write here, then run again to resume.",
            ) from error

    def content(self) -> bytes:
        """Return all bytes."""
        return self._path.read_bytes()

    def discard(self) -> None:
        """Discard what has arrived."""
        self._path.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def _arrived(self) -> int:
        return self._path.stat().st_size if self._path.is_file() else 0

    def _start(self, response: httpx.Response) -> None:
        self.discard()
        version = _version_of(response)
        if version is not None:
            self._version.write_text(version, encoding="ascii")

    def _check_range(self, response: httpx.Response) -> None:
        content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if content_range is None or int(content_range[1]) != self._arrived():
            self.discard()
            raise TransientError("the server sends another part than it was asked for", remedy="Run again later.")

    def _check_size(self, size: int) -> None:
        if size > MAX_BYTES:
            self.discard()
            raise DownloadError(
                f"the file is larger than {MAX_BYTES:,} bytes", remedy="Check that the address is that of one plane."
            )


def _version_of(response: httpx.Response) -> str | None:
    tag: str = response.headers.get("ETag", "")
    version = tag if tag.startswith('"') else response.headers.get("Last-Modified")
    return version if version and version.isascii() else None
