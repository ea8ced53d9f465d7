"""Fetches one file over HTTP: politely, patiently, and going on where an earlier try ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self, TypeVar

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random
from tenacity.nap import sleep_using_event

from hpa_sdk import __version__
from hpa_sdk.errors import HpaError
from training.download.errors import DownloadError, StoppedError, TransientError, UnreachableError
from training.download.partial_file import PartialFile
from training.download.rate_limit import RateLimit

Result = TypeVar("Result")

USER_AGENT = f"hpa-sdk/{__version__} (python -m training download; httpx/{httpx.__version__})"

LONGEST_HOLD = 3600.0
"""Seconds that a server's Retry-After is followed at most, before it is asked again."""

_BUSY = {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY, httpx.codes.TOO_MANY_REQUESTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a file is tried for.

    Attributes
    ----------
    attempts : int
        Tries for each file.
    first_wait, longest_wait : float
        Seconds before the second try, doubled for each further one up to the longest; up to `first_wait` is added at
        random, so that the workers don't come back all at once.
    silence : float
        Seconds without a byte after which a connection is given up.
    duration : float
        Seconds after which a try is given up, however steadily it trickles.
    """

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    silence: float = 30.0
    duration: float = 300.0


class Fetcher:
    """Fetches files; one serves all threads.

    Parameters
    ----------
    rate : float
        Requests a second, at most, over all threads.
    stopped : threading.Event
        Ends every wait and transfer when it is set.
    patience : Patience
        When to give up.
    """

    def __init__(self, *, rate: float, stopped: threading.Event, patience: Patience) -> None:
        self._pace = RateLimit(rate, stopped)
        self._stopped = stopped
        self._patience = patience
        self._client = httpx.Client(
            # Ranges count bytes of the file itself, so no compression on the way.
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            follow_redirects=True,
            timeout=patience.silence,
            # A hook and not a call before the request: redirects are requests too.
            event_hooks={"request": [self._take_turn]},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def fetch(self, url: str, partial: PartialFile, read: Callable[[bytes], Result]) -> Result:
        """Fetch a file and read it.

        Parameters
        ----------
        url : str
            Address of the file.
        partial : PartialFile
            Keeps what arrives; forgotten once the file was read, or is of no use.
        read : callable
            Turns the content into the result. A `TransientError` from it has the file fetched anew.

        Raises
        ------
        TransientError
            Every try failed; this is the last one's reason.
        DownloadError
            The server does not have the file, or it is too large.
        HpaError
            `read` refused the content.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(self._patience.attempts),
            wait=wait_exponential(multiplier=self._patience.first_wait, max=self._patience.longest_wait)
            + wait_random(0, self._patience.first_wait),
            sleep=sleep_using_event(self._stopped),
            reraise=True,
        )
        result: Result = retrying(self._try, url, partial, read)
        return result

    def _try(self, url: str, partial: PartialFile, read: Callable[[bytes], Result]) -> Result:
        try:
            with self._client.stream("GET", url, headers=partial.range_headers()) as response:
                self._check_status(response, partial)
                partial.receive(response, self._chunks(response))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise UnreachableError(f"the server can't be reached ({error})", remedy="Check the network.") from error
        except httpx.TransportError as error:
            raise TransientError(f"the transfer failed ({error or type(error).__name__})", remedy=_LATER) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DownloadError(f"the address can't be followed ({error})", remedy="Check the address.") from error
        try:
            result = read(partial.content())
        except HpaError:
            partial.discard()
            raise
        partial.discard()
        return result

    def _take_turn(self, _request: httpx.Request) -> None:
        self._pace.wait()
        if self._stopped.is_set():
            raise StoppedError("the run was stopped", remedy=_LATER)

    def _check_status(self, response: httpx.Response, partial: PartialFile) -> None:
        status = response.status_code
        if status in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
            return
        answer = f"the server answers {status} {response.reason_phrase}".rstrip()
        if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            partial.discard()
            raise TransientError(answer, remedy=_LATER)
        if status in _BUSY or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            self._pace.hold(_retry_after(response))
            raise TransientError(answer, remedy=_LATER)
        raise DownloadError(answer, remedy="Check the id and the address pattern.")

    def _chunks(self, response: httpx.Response) -> Iterator[bytes]:
        deadline = time.monotonic() + self._patience.duration
        for chunk in response.iter_raw():
            yield chunk
            if self._stopped.is_set():
                raise StoppedError("the run was stopped", remedy=_LATER)
            if time.monotonic() > deadline:
                raise TransientError(
                    f"the transfer took longer than {self._patience.duration:.0f} seconds", remedy=_LATER
                )


_LATER = "Run again later: what is there is not fetched again."


def _retry_after(response: httpx.Response) -> float:
    told = response.headers.get("Retry-After", "").strip()
    if told.isdecimal():
        return min(float(told), LONGEST_HOLD)
    try:
        seconds = parsedate_to_datetime(told).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_HOLD)
