"""A station's predictor and store are opened by every key of its file that concerns them."""

from pathlib import Path
from typing import Any

import pytest

from hpa_sdk.predictor import Predictor
from hpa_sdk.results.result_store import LEDGER
from hpa_sdk.workstation.station_setup import load_predictor, open_store
from tests.hpa_sdk.workstation.watching import make_station


@pytest.mark.parametrize(("white", "given"), [("4095", 4095), ("'dtype'", "dtype"), ("'percentile'", "dtype")])
def test_a_predictor_gets_all_that_the_station_says(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, white: str, given: object
) -> None:
    received: dict[str, Any] = {}
    load = Predictor.load

    def load_recorded(model: tuple[Path, ...], **options: Any) -> Predictor:
        received.update(options, model=model)
        return load(model, **options)

    monkeypatch.setattr(Predictor, "load", load_recorded)
    station = make_station(tmp_path, model, text="gpu_memory = 3\nthreshold = 0.25", files=f"white = {white}")
    predictor = load_predictor(station)
    expected = {
        "model": (model,),
        "views": 1,
        "card": None,
        "device": "cpu",
        "gpu_memory": 3,
        "threshold": 0.25,
        "white": given,
    }
    assert received == expected
    assert set(predictor.thresholds.tolist()) == {0.25}


def test_a_store_has_the_station_s_ledger(tmp_path: Path, model: Path) -> None:
    for text, ledger in (("", tmp_path / "answers" / LEDGER), ("ledger = 'mine.sqlite'", tmp_path / "mine.sqlite")):
        with open_store(make_station(tmp_path, model, text=text)) as store:
            assert store.folder == tmp_path / "answers"
            assert store.ledger.path == ledger
