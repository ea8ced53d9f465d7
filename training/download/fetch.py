"""Fetches one file over HTTP, with a rate limit, retries, and resumed transfers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self, TypeVar

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random
from tenacity.nap import sleep_using_event

from hpa_sdk import __version__
from hpa_sdk.errors import DownloadError, HpaError, TransientError, UnreachableError
from hpa_sdk.files.partial_file import PartialFile
from training.download.errors import StoppedError
from training.download.rate_limit import RateLimit

Result = TypeVar("Result")

USER_AGENT = f"hpa-sdk/{__version__} (python -m training download; httpx/{httpx.__version__})"

LONGEST_HOLD = 3600.0
"""The longest wait for a server's Retry-After, in seconds."""

_BUSY = {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY, httpx.codes.TOO_MANY_REQUESTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Retries and time limits for a file.

    Attributes
    ----------
    attempts : int
        Attempts for each file.
    first_wait, longest_wait : float
        Seconds before the second attempt, doubled for each further one up to the longest; up to `first_wait` is added
        at random, so that the workers don't retry all at once.
    silence : float
        Seconds without a byte after which a connection is closed.
    duration : float
        Seconds after which an attempt ends, even if bytes still arrive.
    """

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    silence: float = 30.0
    duration: float = 300.0


class Fetcher:
    """Fetches files; all threads share one.

    Parameters
    ----------
    rate : float
        Requests a second, at most, over all threads.
    stopped : threading.Event
        Ends every wait and transfer when it is set.
    retry_policy : RetryPolicy
        Retries and time limits.
    """

    def __init__(self, *, rate: float, stopped: threading.Event, retry_policy: RetryPolicy) -> None:
        self._rate_limit = RateLimit(rate, stopped)
        self._stopped = stopped
        self._retry_policy = retry_policy
        self._client = httpx.Client(
            # Ranges count bytes of the file itself, so the transfer must not be compressed.
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            follow_redirects=True,
            timeout=retry_policy.silence,
            # A hook, not a call before the request, because redirects are requests too.
            event_hooks={"request": [self._wait_for_rate_limit]},
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
            Stores what arrives; discarded when the file was read, or can't be used.
        read : callable
            Turns the content into the result. If it raises a `TransientError`, the file is fetched again.

        Raises
        ------
        TransientError
            Every attempt failed; this is the reason of the last one.
        DownloadError
            The server does not have the file, or it is too large.
        HpaError
            `read` refused the content.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(self._retry_policy.attempts),
            wait=wait_exponential(multiplier=self._retry_policy.first_wait, max=self._retry_policy.longest_wait)
            + wait_random(0, self._retry_policy.first_wait),
            sleep=sleep_using_event(self._stopped),
            reraise=True,
        )
        result: Result = retrying(self._try, url, partial, read)
        return result

    def _try(self, url: str, partial: PartialFile, read: Callable[[bytes], Result]) -> Result:
        try:
            with self._client.stream("GET", url, headers=partial.range_headers()) as response:
                self._check_status(response, partial)
                with closing(partial):
                    partial.begin(response.status_code, response.headers)
                    for chunk in self._chunks(response):
                        partial.write(chunk)
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

    def _wait_for_rate_limit(self, _request: httpx.Request) -> None:
        self._rate_limit.wait()
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
            self._rate_limit.hold(_retry_after(response))
            raise TransientError(answer, remedy=_LATER)
        raise DownloadError(answer, remedy="Check the id and the address pattern.")

    def _chunks(self, response: httpx.Response) -> Iterator[bytes]:
        deadline = time.monotonic() + self._retry_policy.duration
        for chunk in response.iter_raw():
            yield chunk
            if self._stopped.is_set():
                raise StoppedError("the run was stopped", remedy=_LATER)
            if time.monotonic() > deadline:
                raise TransientError(
                    f"the transfer took longer than {self._retry_policy.duration:.0f} seconds", remedy=_LATER
                )


_LATER = "Run again later: what is there is not fetched again."


def _retry_after(response: httpx.Response) -> float:
    retry_after = response.headers.get("Retry-After", "").strip()
    if retry_after.isdecimal():
        return min(float(retry_after), LONGEST_HOLD)
    try:
        seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_HOLD)
