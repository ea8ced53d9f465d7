"""What can go wrong while data is fetched."""

from __future__ import annotations

from hpa_sdk.errors import HpaError


class DownloadError(HpaError):
    """Data can't be had, or is not what was asked for."""


class TransientError(DownloadError):
    """Something failed that may go well another time: a cut connection, a busy server, a damaged copy."""


class UnreachableError(TransientError):
    """The server can't be reached at all."""


class StoppedError(DownloadError):
    """The run was ended before this plane was there."""
