"""Paths become label sets: in order, lazily, and one field's failure costs no other field."""

import itertools
import pickle
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from hpa_sdk import Failure, Label, Prediction, PredictionError, Predictor, Preprocessing, Sample
from hpa_sdk.errors import ModelCardError, ModelFileError, PlaneError, SampleError, SettingError
from hpa_sdk.fields.reading import read_planes
from tests.small import CARD, build_model, make_field, make_model, random_planes


@pytest.fixture(scope="module")
def predictor(model: Path) -> Predictor:
    return Predictor.load(model, device="cpu")


def expected_probabilities(model: Path, samples: list[Sample]) -> np.ndarray:
    """The same by hand: read, preprocess, run the raw session on one batch."""
    images = np.stack([Preprocessing()(read_planes(sample)) for sample in samples])
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    probabilities: np.ndarray = session.run(["probabilities"], {"image": images})[0]
    return probabilities


@pytest.mark.parametrize("batch_size", [1, 2, 5, 32])
def test_predictions_are_the_model_s_in_the_order_asked(
    small_model: Path, fields: list[Sample], batch_size: int
) -> None:
    asked = [fields[at] for at in (3, 0, 4, 4, 1)]
    predictions = Predictor.load(small_model, device="cpu", batch_size=batch_size).predict(asked)
    assert [prediction.id for prediction in predictions] == [sample.id for sample in asked]
    expected = expected_probabilities(small_model, asked)
    for prediction, probabilities in zip(predictions, expected, strict=True):
        np.testing.assert_allclose(prediction.probabilities, probabilities, atol=1e-6)
        assert prediction.labels == {Label(int(at)) for at in np.flatnonzero(probabilities >= 0.5)}
        assert prediction.embedding.shape == (512,)
        assert prediction.white.tolist() == [255] * 4


def test_every_form_of_a_path_gives_the_same_prediction(predictor: Predictor, fields: list[Sample]) -> None:
    folder = fields[0].files[0].parent
    table = folder / "ids.csv"
    table.write_text(f"Id\n{fields[2].id}\n", encoding="utf-8")
    array = read_planes(fields[2])
    stem = folder / fields[2].id
    found = [predictor.predict(source)[0] for source in (stem, str(stem), fields[2].files[1], table, fields[2], array)]
    assert [prediction.id for prediction in found] == [fields[2].id] * 5 + ["0"]
    for prediction in found:
        np.testing.assert_array_equal(prediction.probabilities, found[0].probabilities)
    assert [prediction.id for prediction in predictor.predict(folder)] == [sample.id for sample in fields]


def test_planes_in_memory(predictor: Predictor, fields: list[Sample]) -> None:
    stack = np.stack([read_planes(sample) for sample in fields])
    for found in (predictor.predict_planes(stack), predictor.predict_planes(list(stack)), predictor.predict(stack)):
        assert [prediction.id for prediction in found] == ["0", "1", "2", "3", "4"]
        for prediction, from_file in zip(found, predictor.predict(fields), strict=True):
            np.testing.assert_array_equal(prediction.probabilities, from_file.probabilities)
    assert predictor.predict_planes([]) == []


def test_sixteen_bits_need_a_white_level_and_record_it(model: Path, predictor: Predictor) -> None:
    planes = random_planes(np.random.default_rng(1), dtype=np.uint16)
    with pytest.raises(PlaneError, match="which intensity is white"):
        predictor.predict_planes([planes])
    for prediction in (
        predictor.predict_planes([planes], white=4095)[0],
        Predictor.load(model, device="cpu", white=4095).predict(planes)[0],
    ):
        assert prediction.white.tolist() == [4095] * 4


def test_a_bad_field_costs_no_other_field(predictor: Predictor, fields: list[Sample]) -> None:
    fields[1].files[2].write_bytes(b"")
    fields[4].files[0].unlink()
    asked: list[Any] = [*fields, "no such path", random_planes(np.random.default_rng(1))]
    answers = predictor.predict(asked, on_error="yield")
    kinds = [type(answer) for answer in answers]
    assert kinds == [Prediction, Failure, Prediction, Prediction, Failure, Failure, Prediction]
    assert [answer.id for answer in answers] == [*(sample.id for sample in fields), "no such path", "6"]
    errors = [answer.error for answer in answers if isinstance(answer, Failure)]
    assert [type(error) for error in errors] == [PlaneError, PlaneError, SampleError]
    assert errors[0].where == str(fields[1].files[2])


def test_predict_raises_at_the_end_and_loses_nothing(predictor: Predictor, fields: list[Sample]) -> None:
    fields[0].files[2].write_bytes(b"")
    with pytest.raises(PredictionError, match=r"1 of 5 fields failed; the first, field-0: the file is empty") as caught:
        predictor.predict(fields)
    assert [type(answer) for answer in caught.value.answers] == [Failure, *[Prediction] * 4]
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.answers[1:] == caught.value.answers[1:]


def test_a_stream_stops_at_the_first_failure_only_when_asked(predictor: Predictor, fields: list[Sample]) -> None:
    fields[2].files[2].write_bytes(b"")
    seen = []
    with pytest.raises(PlaneError, match="empty"):
        for answer in predictor.stream(fields, on_error="raise"):
            seen.append(answer.id)
    assert seen == ["field-0", "field-1"]


def test_a_stream_is_lazy_and_reads_only_a_little_ahead(model: Path, fields: list[Sample]) -> None:
    drawn = 0

    def endless() -> Iterator[Sample]:
        nonlocal drawn
        for sample in itertools.cycle(fields):
            drawn += 1
            yield sample

    predictor = Predictor.load(model, device="cpu", batch_size=2, threads=3)
    stream = predictor.stream(endless())
    assert drawn == 0
    for _ in range(20):
        next(stream)
    assert drawn <= 20 + 2 * (3 + 1 + 2)
    stream.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("hpa-worker")]


def test_an_unforeseen_error_is_not_swallowed(predictor: Predictor, fields: list[Sample]) -> None:
    def broken() -> Iterator[Sample]:
        yield fields[0]
        message = "the caller's own"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="the caller's own"):
        list(predictor.stream(broken()))


def test_thresholds_come_from_the_card_or_the_caller(small_model: Path, fields: list[Sample]) -> None:
    assert len(Predictor.load(small_model, device="cpu", threshold=0.0).predict(fields[0])[0]) == 28
    (strict,) = Predictor.load(small_model, device="cpu", threshold=1.0).predict(fields[0])
    assert not strict.labels
    assert strict.thresholds.tolist() == [1.0] * 28
    (by_card,) = Predictor.load(small_model, device="cpu").predict(fields[0])
    assert by_card.thresholds.tolist() == [0.5] * 28


def test_card_device_and_providers(small_model: Path) -> None:
    predictor = Predictor.load(str(small_model), device="cpu")
    assert predictor.card == CARD
    assert predictor.device == "cpu"
    assert predictor.providers == ("CPUExecutionProvider",)


def test_a_model_without_a_card_needs_one_from_the_caller(tmp_path: Path, fields: list[Sample]) -> None:
    bare = make_model(tmp_path / "bare.onnx", card=None)
    with pytest.raises(ModelCardError, match="carries no card") as caught:
        Predictor.load(bare)
    assert caught.value.where == str(bare)
    assert len(Predictor.load(bare, device="cpu", card=CARD).predict(fields)) == 5


def test_a_model_of_another_contract_is_refused(tmp_path: Path) -> None:
    path = make_model(tmp_path / "model.onnx")
    proto = onnx.load(path)
    proto.graph.output.pop()
    onnx.save(proto, path)
    with pytest.raises(ModelFileError, match=r"needs the output embedding float32 \(N, width\)"):
        Predictor.load(path)


def test_a_card_that_does_not_fit_its_model_is_refused(tmp_path: Path) -> None:
    path = make_model(tmp_path / "model.onnx", preprocessing=Preprocessing(size=64))
    with pytest.raises(ModelFileError, match=r"needs the input image float32 \(N, 64, 64, 3\)"):
        Predictor.load(path)


def test_a_path_that_is_not_ascii(tmp_path: Path) -> None:
    folder = tmp_path / "プレート é"
    folder.mkdir()
    path = make_model(folder / "mödell.onnx")
    sample = make_field(folder, "fält 1", np.random.default_rng(0))
    assert Predictor.load(path, device="cpu").predict(folder)[0].id == sample.id


def test_predictor_can_be_shared_by_threads(predictor: Predictor, fields: list[Sample]) -> None:
    expected = [prediction.probabilities.tolist() for prediction in predictor.predict(fields)]
    found: dict[int, list[Any]] = {}

    def work(number: int) -> None:
        found[number] = [prediction.probabilities.tolist() for prediction in predictor.predict(fields)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [expected] * 4


def test_failures_alone_are_answered_as_they_come(predictor: Predictor) -> None:
    drawn = 0

    def endless() -> Iterator[Any]:
        nonlocal drawn
        while True:
            drawn += 1
            yield np.zeros((4, 32, 32), np.uint16)

    stream = predictor.stream(endless())
    failures = [next(stream) for _ in range(5)]
    assert all(isinstance(failure, Failure) for failure in failures)
    assert drawn < 30
    stream.close()


def test_what_is_no_path_at_all_costs_no_other_field(predictor: Predictor, fields: list[Sample]) -> None:
    asked: list[Any] = ["a" * 5000, None, fields[0], [1, 2]]
    answers = predictor.predict(asked, on_error="yield")
    assert [type(answer) for answer in answers] == [Failure, Failure, Prediction, Failure]


def test_a_failure_names_the_file_or_the_array(predictor: Predictor, tmp_path: Path) -> None:
    sample = make_field(tmp_path, "x", np.random.default_rng(0), dtype=np.uint16)
    failures = predictor.predict([sample, read_planes(sample)], on_error="yield")
    places = [failure.error.where for failure in failures if isinstance(failure, Failure)]
    assert places == [str(sample.files[0]), "array 1"]


def test_white_levels_of_a_prediction_can_be_used_again(predictor: Predictor) -> None:
    planes = random_planes(np.random.default_rng(1), dtype=np.uint16)
    (first,) = predictor.predict_planes([planes], white="percentile")
    (second,) = predictor.predict_planes([planes], white=first.white)  # type: ignore[arg-type]
    np.testing.assert_array_equal(first.probabilities, second.probabilities)


@pytest.mark.parametrize("settings", [{"threshold": 1.5}, {"threshold": "study"}, {"batch_size": 0}, {"threads": 0}])
def test_a_setting_out_of_range_is_refused(model: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="Give"):
        Predictor.load(model, device="cpu", **settings)


def test_a_card_from_the_caller_is_checked_too(model: Path) -> None:
    with pytest.raises(ModelCardError, match="28 thresholds"):
        Predictor.load(model, device="cpu", card=replace(CARD, thresholds=(0.5,) * 27))


def test_an_additional_input_is_refused(tmp_path: Path) -> None:
    model = build_model()
    model.graph.input.append(onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, ["N"]))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="needs the input image"):
        Predictor.load(tmp_path / "model.onnx", card=CARD)
