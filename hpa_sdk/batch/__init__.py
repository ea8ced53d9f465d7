"""Predicts large numbers of fields: an interruption loses no answer, and each output records how it was made."""

from typing import TYPE_CHECKING

from hpa_sdk.lazy_import import lazy_names

if TYPE_CHECKING:
    from hpa_sdk.batch.discovery import find_all
    from hpa_sdk.batch.run import open_run

__all__ = ["find_all", "open_run"]

__getattr__ = lazy_names(
    __name__,
    {"find_all": "discovery", "open_run": "run"},
)
