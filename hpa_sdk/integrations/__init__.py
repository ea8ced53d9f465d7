"""Integrations into other programs; each module is imported only for its own program."""

from typing import TYPE_CHECKING

from hpa_sdk.lazy_import import lazy_names

if TYPE_CHECKING:
    from hpa_sdk.integrations.ray import predict_dataset

__all__ = ["predict_dataset"]

__getattr__ = lazy_names(
    __name__,
    {"predict_dataset": "ray"},
)
