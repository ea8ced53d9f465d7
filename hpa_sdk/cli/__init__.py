"""The command ``hpa``."""

from hpa_sdk.cli.group import main

__all__ = ["main"]
