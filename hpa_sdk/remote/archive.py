"""Reaches files in an archive through fsspec: patiently, whole, and no larger than they may be."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from hpa_sdk.errors import HpaError, PlaneError, SampleError

LARGEST_FILE = 256 * 1024 * 1024
"""Longest file in bytes that is fetched: a plane of the largest size that is decoded, 16-bit and not compressed."""

ATTEMPTS = 5
"""How often a request is made before it counts as failed."""

LONGEST_WAIT = 30.0
"""Seconds between two attempts at most; the first wait is a tenth of a second, and each next twice as long."""

LONGEST_ANSWER = 60.0
"""Seconds that a server may be silent."""

LONGEST_FETCH = 600.0
"""Seconds that one file may take."""

# Asking again helps against none of these.
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, NotImplementedError, ValueError)
_STAMPS = ("size", "ETag", "etag", "LastModified", "Last-Modified", "mtime", "md5Hash", "updated", "last_modified")
_CHUNK = 1024 * 1024
_Answer = TypeVar("_Answer")


def is_address(path: str) -> bool:
    """Tell an address of an archive, such as ``s3://bucket/folder``, from a path on this computer."""
    return "://" in path


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

    def stamp(self, address: str) -> str:
        """Give what the archive tells of a file's size and last change; another text where the file is another.

        An archive that tells neither time nor checksum, as some web servers, shows no change that keeps the size.
        """
        try:
            told = _patiently(lambda: self._files.info(address))
        except Exception:  # noqa: BLE001 - what is wrong will be told when it is fetched
            return "missing"
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
            return _patiently(lambda: self._read(address))
        except (HpaError, FileNotFoundError):
            raise
        except Exception as error:  # as above
            raise PlaneError(
                f"the plane can't be fetched ({_reason(error)})",
                where=address,
                remedy="Check the network and that you may read there, and run again.",
            ) from error

    def _read(self, address: str) -> bytes:
        parts: list[bytes] = []
        length = 0
        deadline = time.monotonic() + LONGEST_FETCH
        # Read on to the end, whatever length was promised, but never further than the limit.
        with self._files.open(address, "rb", **self._whole) as file:
            while part := file.read(_CHUNK):
                parts.append(part)
                length += len(part)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"it took longer than {LONGEST_FETCH:.0f} seconds")
                if length > LARGEST_FILE:
                    raise PlaneError(
                        f"the file is longer than the {LARGEST_FILE:,} bytes that are fetched",
                        where=address,
                        remedy="Give one grey plane a file.",
                    )
        return b"".join(parts)

    @property
    def _whole(self) -> dict[str, Any]:
        # Over HTTP one stream from start to end: a server may know no parts, nor tell the size before.
        return {"block_size": 0, "size": 1} if self._protocol.startswith("http") else {"cache_type": "readahead"}


def _patiently(ask: Callable[[], _Answer]) -> _Answer:
    from tenacity import (  # noqa: PLC0415 - an extra that only this needs
        Retrying,
        retry_if_not_exception_type,
        stop_after_attempt,
        wait_exponential,
        wait_random,
    )

    return Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(0.1, max=LONGEST_WAIT) + wait_random(0, 0.1),  # so that many do not come back at once
        retry=retry_if_not_exception_type((*_FINAL, HpaError)),
        reraise=True,
    )(ask)


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
