"""Reaches files in an archive through fsspec: patiently, whole, and no larger than they may be."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from hpa_sdk.errors import HpaError, PlaneError, SampleError
from hpa_sdk.fields.remote.web_listing import is_web, listed

LARGEST_FILE = 256 * 1024 * 1024
"""Longest file in bytes that is fetched: a plane of the largest size that is decoded, 16-bit and not compressed."""

LARGEST_LISTING = 32 * 1024 * 1024
"""Longest page in bytes on which a web server lists a folder: some hundred thousand files."""

ATTEMPTS = 6
"""How often a request is made before it counts as failed: with the waits below, through an outage of 25 seconds."""

FIRST_WAIT = 1.0
"""Seconds until the second attempt; each next wait is twice as long."""

LONGEST_WAIT = 10.0
"""Seconds between two attempts at most."""

LONGEST_ANSWER = 60.0
"""Seconds that a server may be silent."""

LONGEST_FETCH = 600.0
"""Seconds that one file or listing may take."""

# Asking again helps against none of these.
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, NotImplementedError, ValueError)
_GONE = {404, 410}  # what a web server answers where there is no such file
_REFUSED = set(range(400, 500)) - {408, 425, 429}  # what it answers where the same request does no better later
_STAMPS = (
    *("size", "ETag", "etag", "Content-MD5", "Digest", "md5Hash"),
    *("LastModified", "Last-Modified", "mtime", "updated", "last_modified"),
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # one letter is a disk of Windows
_CHUNK = 1024 * 1024
_Answer = TypeVar("_Answer")


def is_address(path: str) -> bool:
    """Tell an address of an archive, such as ``s3://bucket/folder``, from a path on this computer."""
    return _ADDRESS.match(path) is not None


class Archive:
    """One place of files, by the address of anything in it.

    Parameters
    ----------
    address : str
        Such as ``s3://bucket/folder`` or ``https://server/folder/``. Who one is to the archive stands where its own
        tools look for it: in the environment and their files.

    Raises
    ------
    SampleError
        fsspec, or what it needs for such an address, is not installed, or it knows none of this kind.
    """

    def __init__(self, address: str) -> None:
        self._files = _filesystem(address.partition("://")[0])
        self._protocol = address.partition("://")[0]

    def list(self, folder: str) -> list[Mapping[str, Any]]:
        """List a folder: a mapping with name, type and what else the archive tells, for each entry.

        Raises
        ------
        SampleError
            The folder can't be listed.
        """
        try:
            if is_web(folder):  # fsspec reads such a page without end
                return listed(_patiently(lambda: self._read(folder, LARGEST_LISTING)), folder)
            return list(_patiently(lambda: self._files.ls(folder, detail=True)))
        except Exception as error:  # archives raise whatever their libraries do
            raise SampleError(
                f"the folder of the archive can't be listed ({_reason(error)})",
                where=folder,
                remedy="Check the address, the network and that you may read there.",
            ) from error

    def address(self, name: str) -> str:
        """Give the whole address of an entry's name."""
        return name if is_address(name) else f"{self._protocol}://{name}"

    def stamp(self, address: str) -> str | None:
        """Give what the archive tells of a file's size and last change; another text where the file is another.

        None where it tells nothing now: the file is missing, or can't be asked for. An archive that tells neither time
        nor checksum, as some web servers, shows no change that keeps the size.
        """
        try:
            told = _patiently(lambda: self._info(address))
        except Exception:  # noqa: BLE001 - what is wrong will be told when it is fetched
            return None
        return " ".join(f"{key}={told[key]}" for key in _STAMPS if told.get(key) is not None)

    def fetch(self, address: str) -> bytes:
        """Fetch a whole file.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        PlaneError
            It can't be fetched, or is longer than `LARGEST_FILE`.
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
            told: Mapping[str, Any] = self._files.info(address)
        except FileNotFoundError as error:
            # Over HTTP fsspec says this whatever went wrong.
            if is_web(address) and isinstance(error.__cause__, Exception) and _status(error.__cause__) not in _GONE:
                raise error.__cause__ from None
            raise
        return told

    def _read(self, address: str, most: int) -> bytes:
        parts: list[bytes] = []
        length = 0
        deadline = time.monotonic() + LONGEST_FETCH
        # Read on to the end, whatever length was promised, but never further than the limit.
        with self._files.open(address, "rb", **self._whole) as file:
            while part := file.read(_CHUNK):
                parts.append(part)
                length += len(part)
                if time.monotonic() > deadline:
                    raise _TooMuchError(f"it took longer than {LONGEST_FETCH:.0f} seconds")
                if length > most:
                    raise _TooMuchError(f"it is longer than the {most:,} bytes that are fetched")
        return b"".join(parts)

    @property
    def _whole(self) -> dict[str, Any]:
        # Over HTTP one stream from start to end: a server may know no parts, nor tell the size before.
        return {"block_size": 0, "size": 1} if self._protocol.startswith("http") else {"cache_type": "readahead"}


class _TooMuchError(Exception):
    """A server gives more than is taken from it."""


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
        # By chance a little longer, so that many do not come back at once.
        wait=wait_exponential(FIRST_WAIT, max=LONGEST_WAIT) + wait_random(0, LONGEST_WAIT / 40),
        retry=retry_if_exception(_may_pass),
        reraise=True,
    )(ask)


def _may_pass(error: BaseException) -> bool:
    """Tell whether asking again may help."""
    if not isinstance(error, Exception) or isinstance(error, (*_FINAL, HpaError, _TooMuchError)):
        return False
    return _status(error) not in _REFUSED


def _status(error: BaseException) -> int | None:
    """Give what a web server answered, where it is that which went wrong."""
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
        return kind(**_options(protocol))
    except Exception as error:  # some ask at once who one is, and raise whatever their libraries do
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
