"""A card survives the way through JSON, and a bad one is refused."""

import json
from dataclasses import replace
from typing import Any

import pytest

from hpa_sdk.errors import ModelCardError
from hpa_sdk.labels import Label
from hpa_sdk.models.known_data import MOST_FIELDS, MOST_FITS, KnownData
from hpa_sdk.models.model_card import Calibration, Metrics, ModelCard, Parity
from tests.small import CARD


def test_a_card_comes_back_from_json_as_it_was() -> None:
    card = ModelCard(
        name="ü",
        architecture="vgg16",
        created="2026-01-01T00:00:00+00:00",
        training=CARD.training,
        metrics=Metrics(
            data="d", fields=2, micro_f1=0.5, macro_f1=0.25, class_f1=(None,) * 27 + (0.25,), support=(0,) * 27 + (2,)
        ),
        calibration=Calibration(temperature=1.25, fields=2, error_before=0.5, error_after=0.25),
        parity=Parity(samples=64, max_difference=1e-7, mean_difference=1e-8, same_label_sets=1.0),
    )
    assert ModelCard.from_json(card.to_json()) == card


def test_default_preprocessing_and_thresholds_are_the_study_s() -> None:
    content = json.loads(CARD.to_json())
    assert content["preprocessing"] == {
        "channels": ["red", "green", "blue", "yellow"],
        "blend": [[0.5, 0, 0, 0.5], [0, 0.5, 0, 0.5], [0, 0, 0.5, 0]],
        "size": 299,
        "interpolation": "bilinear",
        "scale": 255,
        "place": "host",
    }
    fresh = ModelCard(name="", architecture="", created="", training=CARD.training)
    assert fresh.thresholds == (0.2,) * 28


def test_fields_of_a_later_minor_version_are_ignored() -> None:
    content = json.loads(CARD.to_json()) | {"schema_version": "1.7", "mood": "good"}
    assert ModelCard.from_json(json.dumps(content)).name == CARD.name


def test_known_data_is_bounded_and_says_what_is_left_out() -> None:
    hashes = b"".join(number.to_bytes(6) for number in range(MOST_FIELDS + 5))
    known = KnownData.of(["a"], [str(number) for number in range(MOST_FITS + 2)] * 2, [hashes[:12], hashes], left_out=1)
    assert known.fits == tuple(map(str, range(MOST_FITS)))
    assert known.field_hashes == hashes[: 6 * MOST_FIELDS]
    assert known.left_out == 1 + 2 + 5
    card = replace(CARD, known_data=known)
    text = card.to_json()
    assert (json.loads(text)["schema_version"], len(text) < 200_000) == ("1.3", True)
    assert ModelCard.from_json(text) == replace(card, schema_version="1.3")
    assert len(card.known_fields) == MOST_FIELDS
    assert "known_data" not in CARD.to_json()


def test_a_card_from_before_calibration_is_read() -> None:
    content = json.loads(CARD.to_json())
    del content["calibration"]
    assert ModelCard.from_json(json.dumps(content)) == CARD


def changed(**changes: Any) -> str:
    return json.dumps(json.loads(CARD.to_json()) | changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed(schema_version="3.0"), "schema version 3.0"),
        (changed(schema_version="10.0"), "schema version 10.0"),
        (changed(labels=[label.hpa_name for label in Label][:27]), "names 27 labels"),
        (changed(labels=[label.hpa_name for label in reversed(Label)]), "not the 28 classes of hpa-2018 in order"),
        (changed(thresholds=[0.5] * 27), "28 thresholds"),
        (changed(thresholds=[0.5] * 27 + [1.5]), "28 thresholds"),
        (changed(thresholds="high"), r"thresholds"),
        (changed(preprocessing={"size": 0}), "no positive size"),
        (changed(preprocessing={"channels": ["green", "red", "green", "yellow"]}), "channels"),
        (changed(preprocessing={"channels": ["green", "red", "blue", "violet"]}), "channels"),
        (changed(calibration={"temperature": 0, "fields": 2, "error_before": 0, "error_after": 0}), "temperature"),
        (changed(calibration={"temperature": 1.5}), "calibration"),
        (changed(precision="fp4"), "precision"),
        (
            changed(metrics={"data": "d", "fields": 1, "micro_f1": 0, "macro_f1": 0, "class_f1": [1], "support": [1]}),
            "metrics are not of 28 classes",
        ),
        ("{}", "schema_version"),
        ("[]", "can't be read"),
        ("", "can't be read"),
        ("{", "can't be read"),
    ],
)
def test_a_card_that_can_t_be_used_is_refused(text: str, message: str) -> None:
    with pytest.raises(ModelCardError, match=message) as caught:
        ModelCard.from_json(text, where="model.onnx")
    assert caught.value.where == "model.onnx"


@pytest.mark.parametrize("scale", [{"pixel_size": 0.32}, {"pixel_size": 0.0, "field_side": 512}, {"field_side": -1}])
def test_a_scale_that_is_none_is_refused(scale: dict[str, Any]) -> None:
    card = replace(CARD, training=replace(CARD.training, **scale))
    with pytest.raises(ModelCardError, match="pixel size"):
        ModelCard.from_json(card.to_json())
