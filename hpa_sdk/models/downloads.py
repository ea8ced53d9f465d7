"""Fetches a model file from a web server or a shared disk, and resumes what was interrupted."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

from hpa_sdk.errors import DownloadError, HpaError, TransientError, UnreachableError
from hpa_sdk.files.partial_file import PartialFile
from hpa_sdk.models.model_package import LARGEST_MODEL

ATTEMPTS = 5
"""Attempts in a row that bring no byte before a download has failed."""

FIRST_WAIT = 1.0
"""Seconds before the second attempt, doubled for each further one."""

LARGEST_CATALOGUE = 4 * 1024 * 1024
"""Largest catalogue in bytes that is read."""

_TIMEOUT = (15.0, 60.0)  # seconds to connect, and without a byte
_CHUNK = 32 * 1024  # at most so much of what has arrived is lost when a connection is cut
_BUSY = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
}
_WEB_PAGE = ("text/html", "application/xhtml")
_LATER = "Check the network and run again: what has arrived is not fetched again."
_ADDRESS = "Check the address in the catalogue."
_log = logging.getLogger("hpa_sdk")


def fetch_file(address: str, part: Path, *, unchecked: bool) -> None:
    """Fetch a file from a web server into a partial file, which keeps what has arrived if this fails.

    Parameters
    ----------
    address : str
        Its address, http or https.
    part : pathlib.Path
        The partial file.
    unchecked : bool
        Whether nothing is known of the file that would show a cut: then the server must say how long it is.

    Raises
    ------
    DownloadError
        The server can't be reached, does not have the file, or answers something else.
    OutputError
        The disk is full or not writable.
    """
    received = PartialFile(part, largest=LARGEST_MODEL)
    failures, begun = 0, False
    while True:
        before = received.arrived()
        try:
            _transfer(address, received, unchecked=unchecked)
        except TransientError as error:
            progress = received.arrived() > before
            begun |= progress
            failures = 0 if progress else failures + 1
            # Without a network at all, waiting only delays the message.
            if failures >= ATTEMPTS or (isinstance(error, UnreachableError) and not begun):
                raise
            _log.info("%s: %s; trying again", address, error.what)
            time.sleep(FIRST_WAIT * 2 ** max(failures - 1, 0))
        else:
            return


def copy_file(source: Path, part: Path) -> None:
    """Copy a file from a disk into a partial file.

    Raises
    ------
    DownloadError
        The file can't be read.
    OutputError
        The disk is full or not writable.
    """
    received = PartialFile(part, largest=LARGEST_MODEL)
    received.discard()
    try:
        with source.open("rb") as file, closing(received), _bar(total=source.stat().st_size) as bar:
            received.begin(HTTPStatus.OK, {})
            while chunk := file.read(_CHUNK):
                received.write(chunk)
                bar.update(len(chunk))
    except OSError as error:
        raise DownloadError(
            f"the file can't be read ({error.strerror})", where=source, remedy="Check the path in the catalogue."
        ) from error


def read_text_from_web(address: str) -> str:
    """Read a small text from a web server.

    Raises
    ------
    DownloadError
        It can't be fetched, is no UTF-8, or is larger than `LARGEST_CATALOGUE`.
    """
    import requests  # noqa: PLC0415 - as in _transfer

    try:
        with requests.get(address, stream=True, timeout=_TIMEOUT, headers=_HEADERS) as response:
            _check_status(response)
            content = b""
            for chunk in response.iter_content(_CHUNK):
                content += chunk
                if len(content) > LARGEST_CATALOGUE:
                    raise DownloadError(
                        f"the text is larger than {LARGEST_CATALOGUE:,} bytes", where=address, remedy=_ADDRESS
                    )
        return content.decode("utf-8")
    except requests.RequestException as error:
        raise _failure(error, address) from error
    except UnicodeDecodeError as error:
        raise DownloadError("the text is no UTF-8", where=address, remedy=_ADDRESS) from error


_HEADERS = {
    "User-Agent": "hpa-sdk",
    "Accept-Encoding": "identity",  # ranges count bytes of the file itself
}


def _transfer(address: str, received: PartialFile, *, unchecked: bool) -> None:
    import requests  # noqa: PLC0415 - takes a tenth of a second, and most commands fetch nothing
    from pooch import HTTPDownloader  # noqa: PLC0415

    with closing(received), _bar() as bar:
        download = HTTPDownloader(
            chunk_size=_CHUNK,
            timeout=_TIMEOUT,
            headers=_HEADERS | received.range_headers(),
            hooks={"response": partial(_begin, received=received, bar=bar, unchecked=unchecked)},
        )
        try:
            download(address, CallbackIOWrapper(bar.update, received, "write"), None)
        except requests.RequestException as error:
            raise _failure(error, address) from error


def _begin(  # the hook of requests
    response: Any,  # noqa: ANN401 - requests has no types
    *_: object,
    received: PartialFile,
    bar: Any,  # noqa: ANN401 - tqdm has no types
    unchecked: bool,
    **__: object,
) -> None:
    """Judge a response before its content is read."""
    if response.is_redirect:
        return
    try:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            received.discard()
        _check_status(response)
        _check_headers(response, unchecked=unchecked)
        received.begin(response.status_code, response.headers)
    except HpaError:
        response.close()
        raise
    bar.n = bar.initial = received.arrived()
    bar.total = bar.n + int(response.headers.get("Content-Length", 0)) or None
    bar.refresh()


def _check_headers(response: Any, *, unchecked: bool) -> None:  # noqa: ANN401 - requests has no types
    if response.headers.get("Content-Type", "").lower().startswith(_WEB_PAGE):
        raise DownloadError(
            "the server answers a web page, not a model",
            where=response.url,
            remedy="Open it in a browser: the address may be wrong, or the network asks for a login.",
        )
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    if unchecked and not chunked and "Content-Length" not in response.headers:
        raise DownloadError(
            "the server does not say how long the file is, so that a cut transfer could not be seen",
            where=response.url,
            remedy="Add 'size' or 'sha256' to the catalogue.",
        )


def _check_status(response: Any) -> None:  # noqa: ANN401 - requests has no types
    status = response.status_code
    if status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        return
    what = f"the server answers {status} {response.reason or ''}".rstrip()
    if status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TransientError(what, where=response.url, remedy=_LATER)
    raise DownloadError(what, where=response.url, remedy=_ADDRESS)


def _failure(error: Exception, address: str) -> DownloadError:
    import requests  # noqa: PLC0415 - as in _transfer

    # The exceptions of urllib3 inside those of requests say it without the names of classes.
    inner = error.args[0] if error.args else error
    cause = getattr(inner, "reason", None)
    reason = str(cause or next(iter(getattr(inner, "args", ())), inner)) or type(error).__name__
    if cause is not None or isinstance(error, (requests.ConnectTimeout, requests.exceptions.SSLError)):
        return UnreachableError(f"the server can't be reached ({reason})", where=address, remedy=_LATER)
    if isinstance(error, (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)):
        return TransientError(f"the transfer failed ({reason})", where=address, remedy=_LATER)
    return DownloadError(f"the address can't be followed ({reason})", where=address, remedy=_ADDRESS)


def _bar(total: int | None = None) -> Any:  # noqa: ANN401 - tqdm has no types
    return tqdm(total=total, unit="B", unit_scale=True, disable=None)
