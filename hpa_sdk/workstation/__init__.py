"""Connects a microscope to a predictor: the station file, and the files that microscopes write."""

from typing import TYPE_CHECKING

from hpa_sdk.lazy_import import lazy_names

if TYPE_CHECKING:
    from hpa_sdk.workstation.hot_folder import HotFolder
    from hpa_sdk.workstation.micro_manager import FieldHandler
    from hpa_sdk.workstation.micro_manager_follow import follow_up
    from hpa_sdk.workstation.station import Station, read_station
    from hpa_sdk.workstation.station_setup import load_predictor, open_store

__all__ = ["FieldHandler", "HotFolder", "Station", "follow_up", "load_predictor", "open_store", "read_station"]

__getattr__ = lazy_names(
    __name__,
    {
        "FieldHandler": "micro_manager",
        "HotFolder": "hot_folder",
        "Station": "station",
        "follow_up": "micro_manager_follow",
        "load_predictor": "station_setup",
        "open_store": "station_setup",
        "read_station": "station",
    },
)
