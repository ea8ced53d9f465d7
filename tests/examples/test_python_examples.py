"""The Python examples do what their first lines say."""

import runpy
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpa_sdk import Predictor, Sample
from tests.conftest import ROOT, run_command
from tests.hpa_sdk.workstation.watching import make_station, wait_until
from tests.small import make_field

pytestmark = pytest.mark.slow


def test_predict_three_ways(model: Path, fields: list[Sample], capsys: pytest.CaptureFixture[str]) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "predict_three_ways.py"))
    example["main"](str(model), str(fields[0].files[0].parent))
    printed = capsys.readouterr().out
    assert all(printed.count(field.id) == 2 for field in fields)
    (first, *_) = Predictor.load(model, device="cpu").predict([fields[0]])
    assert f"{first.top(1)[0][0].hpa_name}" in printed.splitlines()[-3]


def test_fields_that_look_alike_are_drawn_beside_each_other(
    model: Path, fields: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "neighbours.png"
    example = runpy.run_path(str(ROOT / "examples" / "embeddings.py"))
    example["main"](str(model), str(fields[0].files[0].parent), str(out))
    assert "5 fields, 512 numbers each" in capsys.readouterr().out
    with Image.open(out) as picture:
        assert min(picture.size) > 1000


def test_fields_with_a_wanted_label_are_reported_on_arrival(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    station = make_station(tmp_path, model, text="threshold = 0.0")
    field = make_field(station.watch, "a", np.random.default_rng(0))
    (prediction,) = Predictor.load(model, device="cpu").predict([field])
    ((wanted, probability),) = prediction.top(1)
    example = runpy.run_path(str(ROOT / "examples" / "hot_folder.py"))
    stop = threading.Event()
    following = threading.Thread(target=example["follow"], args=(tmp_path / "station.toml", wanted, stop))
    following.start()
    try:
        wait_until(lambda: list(station.output.glob("*.json")))
    finally:
        stop.set()
        following.join()
    assert capsys.readouterr().out == f"a: {wanted} with probability {probability:.2f}\n"


def test_a_network_of_one_s_own_becomes_a_model(simulated: Path, tmp_path: Path) -> None:
    out = tmp_path / "eigenes-ä.onnx"
    run_command("examples.own_network", simulated, out, "--steps", 2)
    predictor = Predictor.load(out, device="cpu", verify=True)
    assert predictor.card.architecture == "four_convolutions"
    assert predictor.card.parity is not None
    assert predictor.card.parity.samples == 64
    assert predictor.card.parity.max_difference < 1e-5
