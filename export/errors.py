"""What can go wrong in an export beyond what the SDK names."""

from __future__ import annotations

from hpa_sdk.errors import HpaError


class RunFolderError(HpaError):
    """A run folder holds no finished network of this contract."""


class ConversionError(HpaError):
    """A network can't be written as an ONNX file of the requested form."""


class ParityError(HpaError):
    """The converted network gives other answers than the trained one."""


class VariantError(HpaError):
    """A variant can't be made of this file, or is too far from it."""
