"""Defines the errors of an adaptation."""

from hpa_sdk.errors import HpaError


class AdaptationError(HpaError):
    """A model can't be adapted to these fields, or would not be better for it."""
