"""Opens the predictor and the store of a station file, so that every program applies all of its keys."""

from __future__ import annotations

from typing import cast

from hpa_sdk.inference.ensemble import Views
from hpa_sdk.predictor import Predictor
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.station import Station


def load_predictor(station: Station) -> Predictor:
    """Load the station's models, on its device and with its views, thresholds, white level and share of memory.

    Raises
    ------
    ModelFileError, ModelCardError, DeviceError, SettingError
        As for `hpa_sdk.Predictor.load`.
    """
    # By percentile, a station's planes are already stretched to their type's full range: see `white_level.stretch`.
    white = "dtype" if station.files.white == "percentile" else station.files.white
    return Predictor.load(
        station.models,
        views=cast("Views", station.views),
        card=station.card,
        device=station.device,
        threshold=station.threshold,
        white=white,
        gpu_memory=station.gpu_memory,
    )


def open_store(station: Station) -> ResultStore:
    """Open the store of the station's results, with its ledger.

    Raises
    ------
    OutputError
        As for `ResultStore`.
    """
    return ResultStore(station.output, ledger=station.ledger)
