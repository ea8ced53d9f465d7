"""A predictor gives a model that does the preprocessing the planes themselves, whatever their sizes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from hpa_sdk import Failure, Prediction, Predictor, Preprocessing
from hpa_sdk.errors import ModelCardError, ModelFileError, PlaneError
from hpa_sdk.inference import session
from hpa_sdk.inference.devices import Device
from hpa_sdk.inference.session import Session
from tests.raw_model import make_raw_model
from tests.session_spy import spied
from tests.small import CARD, make_model, random_planes, write_planes

SIDES = (64, 80, 64, 100, 80, 64, 64)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_raw_model(tmp_path_factory.mktemp("raw") / "raw.onnx")


@pytest.fixture(scope="module")
def planes() -> list[npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(8)
    return [random_planes(rng, side=side) for side in SIDES]


def probabilities(predictions: list[Prediction]) -> list[npt.NDArray[np.float32]]:
    return [prediction.probabilities for prediction in predictions]


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_planes_of_mixed_sizes_give_the_host_s_answers_in_order(
    raw: Path, small_model: Path, planes: list[npt.NDArray[np.uint8]], batch_size: int
) -> None:
    host = Predictor.load(small_model, device="cpu").predict_planes(planes)
    graph = Predictor.load(raw, device="cpu", batch_size=batch_size)
    for found in (graph.predict_planes(planes), graph.predict(planes)):
        assert [prediction.id for prediction in found] == [str(at) for at in range(len(SIDES))]
        np.testing.assert_allclose(probabilities(found), probabilities(host), rtol=0, atol=1e-5)
        assert [prediction.labels for prediction in found] == [prediction.labels for prediction in host]
    assert graph.predict_planes([]) == []


def test_fields_of_one_size_run_together(raw: Path, planes: list[npt.NDArray[np.uint8]]) -> None:
    predictor = Predictor.load(raw, device="cpu", batch_size=32)
    spy = spied(predictor.session)
    predictor.predict_planes(planes)
    assert spy.shapes == [(4, 4, 64, 64), (2, 4, 80, 80), (1, 4, 100, 100)]


def test_where_shapes_are_fixed_the_batch_alone_is_padded(raw: Path, planes: list[npt.NDArray[np.uint8]]) -> None:
    opened = Session(raw, Device("cpu"), batch_size=4, fixed_shape=True)
    plain = Session(raw, Device("cpu"), batch_size=1)
    spy = spied(opened)
    opened.warm_up()
    fields = np.stack([planes[0], planes[2]])
    np.testing.assert_allclose(opened.run(fields)[0], plain.run(fields)[0], rtol=0, atol=1e-6)
    assert spy.shapes == [(4, 4, 512, 512), (4, 4, 64, 64)]


def test_a_batch_of_large_planes_runs_in_parts(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LARGEST_RUN", 2 * 4 * 64 * 64)
    opened = Session(raw, Device("cpu"), batch_size=8)
    spy = spied(opened)
    for side in (64, 300):
        assert len(opened.run(np.zeros((3, 4, side, side), np.uint8))[0]) == 3
    assert [shape[0] for shape in spy.shapes] == [2, 1, 1, 1, 1]


def test_16_bits_are_brought_to_8_below_their_white_level(raw: Path, small_model: Path) -> None:
    rng = np.random.default_rng(5)
    deep = rng.integers(0, 6000, (3, 4, 64, 64), np.uint16)  # some brighter than white
    for white in (4095, "percentile", [1000, 2000, 4095, 65535]):
        host = Predictor.load(small_model, device="cpu", white=white).predict(deep)
        graph = Predictor.load(raw, device="cpu", white=white).predict(deep)
        np.testing.assert_allclose(probabilities(graph), probabilities(host), rtol=0, atol=2e-3)
        np.testing.assert_array_equal([item.white for item in graph], [item.white for item in host])


@pytest.mark.parametrize("scale", [255.0, 200.0])
def test_the_8_bits_are_the_nearest(scale: float) -> None:
    grey = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    field, levels = Preprocessing(place="graph", scale=scale).model_input(
        np.stack([grey] * 4), white=[4095, 1000.5, 65535, 300]
    )
    assert field.dtype == np.uint8
    for found, level in zip(field, levels, strict=True):
        exact = np.minimum(grey / float(level), 1) * scale
        assert np.abs(found - exact).max() <= 0.5 + 1e-3 * (level == np.float32(1000.5)) * scale


def test_a_bad_field_costs_no_other_field(raw: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    good = write_planes(tmp_path, "good", random_planes(rng, side=40))
    bad = write_planes(tmp_path, "bad", random_planes(rng, side=40))
    bad.files[2].write_bytes(b"")
    asked: Iterator[Any] = iter([bad, good, random_planes(rng, dtype=np.uint16), random_planes(rng)])
    answers = Predictor.load(raw, device="cpu", batch_size=2).predict(asked, on_error="yield")
    assert [type(answer) for answer in answers] == [Failure, Prediction, Failure, Prediction]
    assert [type(answer.error) for answer in answers if isinstance(answer, Failure)] == [PlaneError] * 2


def test_a_card_of_the_other_kind_is_refused(raw: Path) -> None:
    with pytest.raises(ModelFileError, match=r"needs the input image .* and has planes uint8 \(N, 4, H, W\)"):
        Predictor.load(raw, card=CARD)
    in_graph = make_model(raw.with_name("image.onnx"), preprocessing=Preprocessing(place="graph"))
    with pytest.raises(ModelFileError, match=r"needs the input planes uint8 \(N, 4, H, W\), and has image"):
        Predictor.load(in_graph)


def test_planes_of_one_fixed_size_are_refused(raw: Path, tmp_path: Path) -> None:
    fixed = onnx.load(raw)
    fixed.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 512
    onnx.save(fixed, tmp_path / "fixed.onnx")
    with pytest.raises(ModelFileError, match=r"has planes uint8 \(N, 4, 512, W\)"):
        Predictor.load(tmp_path / "fixed.onnx")


def test_a_card_that_asks_for_all_of_the_memory_is_refused(raw: Path) -> None:
    huge = replace(CARD, preprocessing=Preprocessing(place="graph", size=1_000_000))
    with pytest.raises(ModelCardError, match="images of 1,000,000 pixels a side"):
        Predictor.load(raw, card=huge)
