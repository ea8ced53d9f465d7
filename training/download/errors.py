"""What can stop a run that fetches data."""

from __future__ import annotations

from hpa_sdk.errors import DownloadError


class StoppedError(DownloadError):
    """The run was stopped before this plane was fetched."""
