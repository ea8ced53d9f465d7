"""What can go wrong while data is fetched."""

from __future__ import annotations

from hpa_sdk.errors import HpaError


class DownloadError(HpaError):
    """Data can't be fetched, or is not the requested data."""


class TransientError(DownloadError):
    """A failure that a retry may solve: a cut connection, a busy server, a damaged copy."""


class UnreachableError(TransientError):
    """The server can't be reached at all."""


class StoppedError(DownloadError):
    """The run was stopped before this plane was fetched."""
