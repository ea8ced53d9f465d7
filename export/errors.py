"""What can go wrong in an export beyond what the SDK names."""

from __future__ import annotations

from hpa_sdk.errors import HpaError


class RunFolderError(HpaError):
    """A run folder holds no finished network of this contract."""


class ParityError(HpaError):
    """The converted network does not answer as the trained one does."""
