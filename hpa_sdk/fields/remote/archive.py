"""Fetches files from an archive through fsspec: with retries, completely, and up to a size limit."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from hpa_sdk.errors import HpaError, PlaneError, SampleError
from hpa_sdk.fields.remote.web_listing import is_web, listed

LARGEST_FILE = 256 * 1024 * 1024
"""Largest file in bytes that is fetched: a plane of the largest size that is decoded, 16-bit and uncompressed."""

LARGEST_LISTING = 32 * 1024 * 1024
"""Largest page in bytes of a web server's folder listing: some hundred thousand files."""

ATTEMPTS = 6
"""Attempts before a request counts as failed. With the waits below, this survives an outage of 25 seconds."""

FIRST_WAIT = 1.0
"""Seconds until the second attempt. Each further wait is twice as long."""

LONGEST_WAIT = 10.0
"""Longest wait in seconds between two attempts."""

LONGEST_ANSWER = 60.0
"""Timeout in seconds without data from the server."""

LONGEST_FETCH = 600.0
"""Timeout in seconds for one file or listing."""

# A retry does not help against any of these.
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, NotImplementedError, ValueError)
_GONE = {404, 410}  # HTTP status codes for a missing file
_REFUSED = set(range(400, 500)) - {408, 425, 429}  # HTTP status codes for which a retry does not help
# The names of different archives for what they report about a file. The order is that of stamps in ledgers.
_MARKS = (
    *("size", "ETag", "etag", "Content-MD5", "Digest", "md5Hash"),
    *("LastModified", "Last-Modified", "mtime", "updated", "last_modified"),
)
_HEADERS = ("ETag", "Content-MD5", "Digest", "Last-Modified")  # those that fsspec gives too, in the same letter case
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # a single letter is a Windows drive
_CHUNK = 1024 * 1024
_Answer = TypeVar("_Answer")

Marks = Mapping[str, str]
"""What an archive reports about a file, by its own names: the size, checksums and times."""


def stamp_of(marks: Marks) -> str | None:
    """Return marks as one text; None if they do not show every change, because they have only the size."""
    return " ".join(f"{key}={text}" for key, text in marks.items()) if marks.keys() - {"size"} else None


def _marks_of(info: Mapping[str, Any]) -> Marks:
    return {key: str(info[key]) for key in _MARKS if info.get(key) is not None}


def is_address(path: str) -> bool:
    """Whether this is the address of an archive, such as ``s3://bucket/folder``, and not a local path."""
    return _ADDRESS.match(path) is not None


class Archive:
    """A remote file store, given by any address in it.

    Parameters
    ----------
    address : str
        Such as ``s3://bucket/folder`` or ``https://server/folder/``. Credentials come from the usual places of the
        archive's own tools: environment variables and configuration files.

    Raises
    ------
    SampleError
        fsspec, or its package for such addresses, is not installed, or it does not support them.
    """

    def __init__(self, address: str) -> None:
        self._files = _filesystem(address.partition("://")[0])
        self._protocol = address.partition("://")[0]

    def list(self, folder: str) -> list[Mapping[str, Any]]:
        """List a folder. Each entry is a mapping with name, type and the archive's other metadata.

        Raises
        ------
        SampleError
            The folder can't be listed.
        """
        try:
            if is_web(folder):  # fsspec reads such a page without a size limit
                page, _ = _patiently(lambda: self._read(folder, LARGEST_LISTING))
                return listed(page, folder)
            return list(_patiently(lambda: self._files.ls(folder, detail=True)))
        except Exception as error:  # archives raise the exceptions of their libraries
            raise SampleError(
                f"the folder of the archive can't be listed ({_reason(error)})",
                where=folder,
                remedy="Check the address, the network and that you may read there.",
            ) from error

    def address(self, name: str) -> str:
        """Return the full address of an entry."""
        return name if is_address(name) else f"{self._protocol}://{name}"

    def stamp(self, address: str) -> str | None:
        """Return what the archive reports about a file's size and last change. Another text means a changed file.

        None if nothing is available: the file is missing, the request fails, or the archive reports neither time nor
        checksum, as some web servers do, and so would hide a change of the same size.
        """
        try:
            marks = self.marks(address)
        except Exception:  # noqa: BLE001 - the error is reported when the file is fetched
            return None
        return stamp_of(marks)

    def marks(self, address: str) -> Marks:
        """Return what the archive reports about a file now.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        Exception
            Of the archive's own library: the request fails.
        """
        return _marks_of(_patiently(lambda: self._info(address)))

    def fetch(self, address: str) -> tuple[bytes, Marks]:
        """Fetch a whole file, with what the archive reports about the file that it sends.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        PlaneError
            It can't be fetched, or is larger than `LARGEST_FILE`.
        """
        try:
            return _patiently(lambda: self._read(address, LARGEST_FILE))
        except FileNotFoundError:
            raise
        except Exception as error:  # as above
            raise PlaneError(
                f"the plane can't be fetched ({_reason(error)})",
                where=address,
                remedy="Check the network, that you may read there, and that it is one grey plane; then run again.",
            ) from error

    def _info(self, address: str) -> Mapping[str, Any]:
        try:
            info: Mapping[str, Any] = self._files.info(address)
        except FileNotFoundError as error:
            # Over HTTP, fsspec raises this for any failure.
            if is_web(address) and isinstance(error.__cause__, Exception) and _status(error.__cause__) not in _GONE:
                raise error.__cause__ from None
            raise
        return info

    def _read(self, address: str, most: int) -> tuple[bytes, Marks]:
        parts: list[bytes] = []
        length = 0
        deadline = time.monotonic() + LONGEST_FETCH
        # Reads to the end, regardless of the announced length, but never beyond the limit.
        with self._files.open(address, "rb", **self._whole) as file:
            while part := file.read(_CHUNK):
                parts.append(part)
                length += len(part)
                if time.monotonic() > deadline:
                    raise _TooMuchError(f"it took longer than {LONGEST_FETCH:.0f} seconds")
                if length > most:
                    raise _TooMuchError(f"it is longer than the {most:,} bytes that are fetched")
            return b"".join(parts), self._marks_sent_with(file)

    def _marks_sent_with(self, file: Any) -> Marks:  # noqa: ANN401 - fsspec has no types
        """Return the marks of an opened file: of the answer that is read, or those asked for when it was opened."""
        if not self._is_web:
            return _marks_of(getattr(file, "details", None) or {})
        headers = file.r.headers
        # The length of a compressed answer is not that of the file.
        size = None if headers.get("Content-Encoding", "identity") != "identity" else headers.get("Content-Length")
        return _marks_of({"size": size, **{name: headers.get(name) for name in _HEADERS}})

    @property
    def _whole(self) -> dict[str, Any]:
        if not self._is_web:
            return {"cache_type": "readahead"}
        # Over HTTP, one stream from start to end: a server may not support ranges or report the size. Not compressed,
        # because some servers give a compressed answer another ETag.
        headers = {**self._files.kwargs.get("headers", {}), "Accept-Encoding": "identity"}
        return {"block_size": 0, "size": 1, "headers": headers}

    @property
    def _is_web(self) -> bool:
        return self._protocol.lower().startswith("http")


class _TooMuchError(Exception):
    """A server sends more than the limit."""


def _patiently(ask: Callable[[], _Answer]) -> _Answer:
    from tenacity import (  # noqa: PLC0415 - an extra that only this needs
        Retrying,
        retry_if_exception,
        stop_after_attempt,
        wait_exponential,
        wait_random,
    )

    return Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        # A random extra wait, so that many clients do not retry at the same time.
        wait=wait_exponential(FIRST_WAIT, max=LONGEST_WAIT) + wait_random(0, LONGEST_WAIT / 40),
        retry=retry_if_exception(_may_pass),
        reraise=True,
    )(ask)


def _may_pass(error: BaseException) -> bool:
    """Whether a retry may help."""
    if not isinstance(error, Exception) or isinstance(error, (*_FINAL, HpaError, _TooMuchError)):
        return False
    return _status(error) not in _REFUSED


def _status(error: BaseException) -> int | None:
    """Return the status code of a web server's answer, if that is the cause of the error."""
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


@lru_cache
def _filesystem(protocol: str) -> Any:  # noqa: ANN401 - fsspec has no types
    try:
        import fsspec  # noqa: PLC0415 - an extra that only this needs
        import tenacity  # noqa: F401, PLC0415

        kind = fsspec.get_filesystem_class(protocol)
    except (ImportError, ValueError) as error:
        raise SampleError(
            f"addresses that begin with {protocol}:// can't be read here ({error})",
            remedy="Install what reads them: pip install 'hpa-sdk[remote]' for s3:// and https://, 'hpa-sdk[gcs]' for gs://.",
        ) from error
    try:
        # A cached listing would hide that a file was changed since.
        return kind(use_listings_cache=False, **_options(protocol))
    except Exception as error:  # some check credentials at once, and raise the exceptions of their libraries
        raise SampleError(
            f"the archive behind {protocol}:// can't be opened ({_reason(error)})",
            remedy="Check the network, and what its own tools know of who you are.",
        ) from error


def _options(protocol: str) -> dict[str, Any]:
    if protocol in {"http", "https"}:
        import aiohttp  # noqa: PLC0415 - comes with the extra

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=LONGEST_ANSWER, sock_read=LONGEST_ANSWER)
        return {"client_kwargs": {"timeout": timeout}}
    if protocol == "s3":
        return {"config_kwargs": {"connect_timeout": LONGEST_ANSWER, "read_timeout": LONGEST_ANSWER}}
    if protocol in {"gs", "gcs"}:
        return {"requests_timeout": LONGEST_ANSWER}
    return {}


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
