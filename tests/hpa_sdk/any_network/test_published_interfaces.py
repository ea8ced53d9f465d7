"""Networks from elsewhere answer as their publishers' own scripts do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpa_sdk import Failure, Label, Predictor, Sample, SchemeLabel
from hpa_sdk.errors import ModelCardError, ModelFileError, SettingError
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.labels import HPA_2018, HPA_2021, SUBCELL_2024
from tests.small import make_field, write_planes
from tests.stand_ins import (
    OWN_SCHEME,
    SINGLE_CELL,
    THREE_CHANNELS,
    WINNER,
    Interface,
    card_of,
    documented_answer,
    write_stand_in,
)

INTERFACES = {
    "winner of 2018": WINNER,
    "its file of logits": replace(WINNER, logits=True),
    "single cells of 2021": SINGLE_CELL,
    "three channels, no embedding, any size": THREE_CHANNELS,
    "31 classes, any batch, opset 18": Interface(scheme=SUBCELL_2024, batch=None, side=112, opset=18, width=1536),
    "channels last, batch of four": Interface(batch=4, layout="nhwc", logits=True, opset=17),
    "a lab's own classes, two channels": Interface(scheme=OWN_SCHEME, channels=("green", "blue"), side=None),
}


@pytest.mark.parametrize("interface", INTERFACES.values(), ids=INTERFACES)
def test_answers_are_those_of_the_documented_arithmetic(
    tmp_path: Path, fields: list[Sample], interface: Interface
) -> None:
    path = write_stand_in(tmp_path / "network.onnx", interface)
    with Predictor.load(path, card=card_of(interface), device="cpu") as predictor:
        many = predictor.predict(fields)
        one = predictor.predict(fields[3])[0]
        planes = np.stack([read_planes(field) for field in fields])
        from_memory = predictor.predict_planes(planes)
    for at, field in enumerate(fields):
        expected, embedding = documented_answer(path, interface, planes[at])
        for found in (many[at], from_memory[at]):
            np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
            assert {int(label) for label in found} == set(np.flatnonzero(expected >= 0.5))
            if embedding is None:
                assert found.embedding.shape == (0,)
            else:
                np.testing.assert_allclose(found.embedding, embedding, atol=1e-6 * np.abs(embedding).max())
        assert many[at].id == field.id
        assert many[at].scheme == interface.scheme
    np.testing.assert_allclose(one.probabilities, many[3].probabilities, atol=1e-6)
    # The stand-in tells fields apart, or the comparison would show nothing.
    assert np.ptp([found.probabilities for found in many], axis=0).max() > 1e-3


def test_a_long_stream_answers_as_single_fields_do(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    many = [make_field(tmp_path / "many", f"f{at:03}", rng, side=40 + at % 3) for at in range(70)]
    interface = Interface(batch=4, side=None, open_sides=True)
    path = write_stand_in(tmp_path / "network.onnx", interface)
    with Predictor.load(path, card=card_of(interface), device="cpu") as predictor:
        found = list(predictor.stream(many))
    assert [answer.id for answer in found] == [field.id for field in many]
    for answer, field in zip(found, many, strict=True):
        assert not isinstance(answer, Failure)
        expected, _ = documented_answer(path, interface, read_planes(field))
        np.testing.assert_allclose(answer.probabilities, expected, atol=1e-6)


def test_labels_of_other_schemes_are_never_mistaken(tmp_path: Path, fields: list[Sample]) -> None:
    path = write_stand_in(tmp_path / "network.onnx", SINGLE_CELL)
    prediction = Predictor.load(path, card=card_of(SINGLE_CELL), device="cpu", threshold=0.0).predict(fields[0])[0]
    assert len(prediction) == 19
    vesicles = HPA_2021.from_name("vesicles and punctate cytosolic patterns")
    assert isinstance(vesicles, SchemeLabel)
    assert vesicles in prediction
    assert prediction.top(19)[0][0] in HPA_2021.labels
    assert str(HPA_2021[18]) == "Negative"
    assert set(prediction) != {Label(index) for index in range(19)}
    with pytest.raises(SettingError, match="is a label of hpa-2018, and this prediction is of hpa-2021"):
        assert Label.NUCLEOPLASM in prediction
    # Two labs can give their schemes one name.
    with pytest.raises(SettingError, match="is no class of the hpa-2021 of this prediction"):
        assert SchemeLabel("hpa-2021", 3, "Blebs") in prediction
    with pytest.raises(SettingError, match="is no class of the hpa-2021 of this prediction"):
        assert SchemeLabel("hpa-2021", 19, "Blebs") in prediction
    of_2018 = write_stand_in(tmp_path / "other.onnx", replace(WINNER, side=64))
    prediction = Predictor.load(of_2018, card=card_of(replace(WINNER, side=64)), device="cpu").predict(fields[0])[0]
    with pytest.raises(SettingError, match="hpa-2021"):
        assert vesicles in prediction
    assert HPA_2018[25] is Label.CYTOSOL


def test_fields_without_a_channel_are_answered_if_it_is_not_taken(tmp_path: Path, fields: list[Sample]) -> None:
    path = write_stand_in(tmp_path / "three.onnx", THREE_CHANNELS)
    predictor = Predictor.load(path, card=card_of(THREE_CHANNELS), device="cpu")
    whole = predictor.predict(fields)
    for field in fields:
        field.files[3].unlink()
    folder = fields[0].files[0].parent
    without = predictor.predict(folder)
    for one, other in zip(whole, without, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        assert [Path(file.path).name.rpartition("_")[2] for file in other.files] == ["red.png", "green.png", "blue.png"]
        assert other.white.shape == (3,)
    four = Interface(side=None, open_sides=True)
    four_path = write_stand_in(tmp_path / "four.onnx", four)
    refused = Predictor.load(four_path, card=card_of(four), device="cpu").predict(folder, on_error="yield")
    for answer in refused:
        assert isinstance(answer, Failure)
        assert "the yellow plane is missing" in str(answer.error)
    (fields[0].files[1]).unlink()
    (first, *_) = predictor.predict(folder, on_error="yield")
    assert isinstance(first, Failure)
    assert "the green plane is missing" in str(first.error)


def test_planes_in_memory_can_be_only_those_that_are_taken(tmp_path: Path) -> None:
    path = write_stand_in(tmp_path / "three.onnx", THREE_CHANNELS)
    predictor = Predictor.load(path, card=card_of(THREE_CHANNELS), device="cpu")
    four = np.random.default_rng(1).integers(0, 4096, (2, 4, 50, 60), np.uint16)
    expected = predictor.predict_planes(four, white=[4095, 2000, 3000, 1])
    # The card's order: red, blue, green.
    found = predictor.predict_planes(four[:, [0, 2, 1]], white=[4095, 3000, 2000])
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        assert one.white.tolist() == [4095, 3000, 2000]
    with pytest.raises(Exception, match=r"not \(4, H, W\) or \(3, H, W\)"):
        predictor.predict_planes(four[:, :2], white=4095)


def test_a_mean_and_a_deviation_are_applied_after_the_scale() -> None:
    interface = Interface(channels=("green", "blue"), side=32, scheme=OWN_SCHEME)
    card = card_of(interface)
    form = replace(card.preprocessing, blend=((255.0, 0.0), (0.0, 255.0)), mean=(10.0, 20.0), deviation=(50.0, 60.0))
    planes = np.random.default_rng(2).integers(0, 256, (4, 32, 32), np.uint8)
    expected = (planes[1:3] - np.array([[[10.0]], [[20.0]]])) / np.array([[[50.0]], [[60.0]]])
    np.testing.assert_allclose(form(planes), expected, atol=1e-5)
    deep = planes.astype(np.uint16) * 16
    np.testing.assert_allclose(form(deep, white=255 * 16), expected, atol=1e-5)


CONTRADICTIONS = {
    "size": ({"preprocessing": {"size": 100}}, "needs the input image float32"),
    "layout": ({"preprocessing": {"layout": "nhwc"}}, "needs the input image float32"),
    "channels": (
        {"preprocessing": {"channels": ("red", "green"), "blend": ((1.0, 0.0), (0.0, 1.0))}},
        "needs the input",
    ),
    "input name": ({"tensors": {"input": "picture"}}, "needs the input picture"),
    "scores name": ({"tensors": {"scores": "probs"}}, "needs the output probs"),
    "embedding name": ({"tensors": {"embedding": "pool"}}, "needs the output pool"),
    "as it comes": ({"preprocessing": {"size": None}}, "needs the input image float32"),
}


@pytest.mark.parametrize(("changes", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_card_that_contradicts_its_file_is_refused(
    tmp_path: Path, changes: dict[str, dict[str, object]], message: str
) -> None:
    interface = Interface()
    path = write_stand_in(tmp_path / "network.onnx", interface)
    card = card_of(interface)
    card = replace(card, **{name: replace(getattr(card, name), **parts) for name, parts in changes.items()})
    with pytest.raises(ModelFileError, match=message):
        Predictor.load(path, card=card, device="cpu")


def test_a_card_with_other_classes_than_its_file_is_refused(tmp_path: Path) -> None:
    path = write_stand_in(tmp_path / "network.onnx", Interface())
    other = card_of(replace(Interface(), scheme=SUBCELL_2024))
    with pytest.raises(ModelFileError, match=r"needs the output classes float32 \(N, 31\), and has classes"):
        Predictor.load(path, card=other, device="cpu")
    with pytest.raises(ModelCardError, match="not the 28 classes of hpa-2018"):
        Predictor.load(path, card=replace(other, scheme="hpa-2018"), device="cpu")


def test_a_plane_that_is_not_taken_is_not_read(tmp_path: Path, fields: list[Sample]) -> None:
    path = write_stand_in(tmp_path / "three.onnx", THREE_CHANNELS)
    predictor = Predictor.load(path, card=card_of(THREE_CHANNELS), device="cpu")
    expected = predictor.predict(fields[0])[0].probabilities
    fields[0].files[3].write_bytes(b"no picture")
    np.testing.assert_array_equal(predictor.predict(fields[0])[0].probabilities, expected)
    write_planes(fields[0].files[0].parent, "other", np.zeros((4, 64, 64), np.uint8))
