"""A model that gives no numbers for a field costs that field, and nothing that others keep."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from hpa_sdk import Failure, Prediction, PredictionError, Predictor
from hpa_sdk.models.model_card import METADATA_KEY
from hpa_sdk.results.result import Result
from tests.hpa_sdk.workstation.watching import make_station, planes, rows, wait_until, watching
from tests.small import CARD, build_model, random_planes, write_planes


@pytest.fixture
def nan_for_black(tmp_path: Path) -> Path:
    """A model whose probabilities are 0 / 0 for a black field."""
    model = build_model()
    model.graph.node[-1].output[0] = "sure"
    model.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["mean", "axis"], ["light"]),
            helper.make_node("Mul", ["sure", "light"], ["lit"]),
            helper.make_node("Div", ["lit", "light"], ["probabilities"]),
        ]
    )
    model.graph.initializer.append(helper.make_tensor("axis", onnx.TensorProto.INT64, [1], [1]))
    helper.set_model_props(model, {METADATA_KEY: CARD.to_json()})
    onnx.save(model, tmp_path / "nan.onnx")
    return tmp_path / "nan.onnx"


def test_a_field_without_numbers_is_a_failure_among_predictions(nan_for_black: Path) -> None:
    predictor = Predictor.load(nan_for_black, device="cpu", batch_size=4)
    field = random_planes(np.random.default_rng(0))
    answers = predictor.predict([field, field * 0, field], on_error="yield")
    assert [type(answer) for answer in answers] == [Prediction, Failure, Prediction]
    assert isinstance(answers[1], Failure)
    assert answers[1].id == "1"
    assert "no numbers (NaN" in str(answers[1].error)
    with pytest.raises(PredictionError, match="1 of 2 fields failed") as caught:
        predictor.predict_planes([field, field * 0])
    assert isinstance(caught.value.answers[0], Prediction)


def test_logits_are_no_probabilities(tmp_path: Path) -> None:
    model = build_model()
    sigmoid = next(node for node in model.graph.node if node.op_type == "Sigmoid")
    sigmoid.op_type = "Identity"
    helper.set_model_props(model, {METADATA_KEY: CARD.to_json()})
    onnx.save(model, tmp_path / "logits.onnx")
    field = random_planes(np.random.default_rng(0))
    (answer,) = Predictor.load(tmp_path / "logits.onnx", device="cpu").predict([field], on_error="yield")
    assert isinstance(answer, Failure)
    assert "not between 0 and 1" in str(answer.error)


def test_a_watch_reports_it_and_continues(tmp_path: Path, nan_for_black: Path) -> None:
    station = make_station(tmp_path, nan_for_black)
    write_planes(station.watch, "black", np.zeros((4, 32, 32), np.uint8))
    planes(tmp_path, "good")
    with watching(station) as store:
        wait_until(lambda: store.count() == 2)
        assert store.count(failed=True) == 1
    errors = {row["id"]: row["error"] for row in rows(station.output)}
    assert not errors["good"]
    assert "no numbers (NaN" in errors["black"]
    assert Result.from_json((station.output / "black.json").read_bytes()).error is not None
