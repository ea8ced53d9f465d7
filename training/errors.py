"""What can go wrong in training beyond what the SDK names."""

from __future__ import annotations

from hpa_sdk.errors import HpaError


class WeightsError(HpaError):
    """Initial weights can't be loaded."""


class RecipeError(HpaError):
    """A recipe can't be read, or is not for this network."""


class RunError(HpaError):
    """A run folder can't be used."""
