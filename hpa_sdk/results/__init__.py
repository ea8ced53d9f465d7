"""Writes, stores and reads results of fields."""

from typing import TYPE_CHECKING

from hpa_sdk.lazy_import import lazy_names

if TYPE_CHECKING:
    from hpa_sdk.results.result import Result
    from hpa_sdk.results.writers import open_writer

__all__ = ["Result", "open_writer"]

__getattr__ = lazy_names(__name__, {"Result": "result", "open_writer": "writers"})
