"""Turns the errors of Kaggle and of the connection to it into errors with a remedy."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from hpa_sdk.errors import DownloadError, OutputError, UnreachableError

_SIGN_IN = (
    "Make an API token at https://www.kaggle.com/settings/api, put it into the environment variable KAGGLE_API_TOKEN or"
    " into the file .kaggle/access_token in your home folder, and run again."
)
_RETRY = "Check the network and run again: what has arrived is not fetched again."


@contextmanager
def raise_kaggle_errors(competition_url: str) -> Iterator[None]:
    """Turn what kagglehub raises into errors that say what to do.

    Parameters
    ----------
    competition_url : str
        The page of the competition, for messages.

    Raises
    ------
    DownloadError
        Credentials are missing or wrong, the rules are not accepted, or what arrived is damaged.
    UnreachableError
        Kaggle can't be reached, or the transfer broke.
    OutputError
        The disk of the cache is full or not writable.
    """
    try:
        yield
    except DownloadError:
        raise
    except OSError as error:  # the errors of requests are OSErrors too
        raise _of_os_error(error, competition_url) from error
    except Exception as error:
        raise _of_kagglehub_error(error, competition_url) from error


def status_of(error: OSError) -> int | None:
    """Return the HTTP status of Kaggle's answer, if there was one."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _of_os_error(error: OSError, competition_url: str) -> DownloadError | OutputError:
    status = status_of(error)
    if status == HTTPStatus.UNAUTHORIZED:
        return DownloadError("Kaggle does not take the API token", where=competition_url, remedy=_SIGN_IN)
    if status == HTTPStatus.FORBIDDEN:
        return DownloadError(
            "Kaggle refuses: the rules of the competition are not accepted by this account",
            where=competition_url,
            remedy=f"Sign in, accept them at {competition_url}/rules, and run again.",
        )
    if status is not None:
        return DownloadError(f"Kaggle answers {status}", where=competition_url, remedy="Run again later.")
    if error.errno is None:
        return UnreachableError(f"the transfer from Kaggle failed ({error})", where=competition_url, remedy=_RETRY)
    return OutputError(
        "the disk is full" if error.errno == errno.ENOSPC else f"the download can't be written ({error.strerror})",
        where=error.filename,
        remedy="Free some space, or let KAGGLEHUB_CACHE name a folder on another disk, and run again.",
    )


def _of_kagglehub_error(error: Exception, competition_url: str) -> DownloadError:
    if type(error).__name__ == "UnauthenticatedError":
        return DownloadError("no Kaggle API token is found", where=competition_url, remedy=_SIGN_IN)
    return DownloadError(
        f"kagglehub failed ({error or type(error).__name__})",
        where=competition_url,
        remedy="Run again; if it fails in the same way, check the API token and delete the kagglehub cache.",
    )
