"""Layers become the field that they show, with channels guessed where their names tell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpa_sdk.errors import HpaError, PlaneError
from hpa_sdk.integrations.napari_fields import (
    classify,
    guess_channels,
    names_of,
    pixel_size_of,
    planes_of,
    usual_names,
    white_of,
)
from hpa_sdk.predictor import Predictor
from hpa_sdk.samples import Channel
from tests.small import CARD, make_model, random_planes

RNG = np.random.default_rng(2)


@dataclass
class Layer:
    """What an image layer of napari has."""

    name: str
    data: Any
    rgb: bool = False
    scale: Any = field(default_factory=lambda: np.array([1.0, 1.0]))
    units: tuple[Any, ...] = ("pixel", "pixel")


@pytest.mark.parametrize(
    ("names", "guessed"),
    [
        (["red", "green", "blue", "yellow"], ["red", "green", "blue", "yellow"]),
        (["DAPI", "Tubulin", " Protein", "ER"], ["Tubulin", " Protein", "DAPI", "ER"]),
        (["f1_red", "f1_green", "f1_blue", "f1_yellow"], ["f1_red", "f1_green", "f1_blue", "f1_yellow"]),
        (["f1 [Hoechst]", "f1 [endoplasmic reticulum]"], [None, None, "f1 [Hoechst]", "f1 [endoplasmic reticulum]"]),
        # Neither "Hoechster" nor "power" names a channel.
        (["Hoechster", "power"], [None] * 4),
        (["red 1", "red 2", "green"], [None, "green", None, None]),
        (["red", "red 2"], ["red", None, None, None]),
        (["red green"], [None] * 4),
        ([], [None] * 4),
    ],
)
def test_channels_are_guessed_by_the_names_of_layers(names: list[str], guessed: list[str | None]) -> None:
    assert list(guess_channels(names, usual_names()).values()) == guessed


def test_a_station_file_can_have_other_names(tmp_path: Path) -> None:
    station = tmp_path / "station.toml"
    station.write_text('model = "a"\nwatch = "b"\noutput = "c"\n[channels]\ngreen = ["GFP"]\n', encoding="utf-8")
    assert guess_channels(["gfp"], names_of(station))[Channel.GREEN] == "gfp"
    with pytest.raises(HpaError, match="hpa station init"):
        names_of(tmp_path / "none.toml")


def layers_of(planes: Any) -> dict[Channel, Any]:
    return {channel: Layer(str(channel), plane) for channel, plane in zip(Channel, planes, strict=True)}


def test_the_planes_that_are_shown_are_taken() -> None:
    planes = random_planes(RNG, side=20)
    np.testing.assert_array_equal(planes_of(layers_of(planes), (0, 0)), planes)
    deep = np.stack([planes * 0, planes, planes * 0], axis=1)
    np.testing.assert_array_equal(planes_of(layers_of(deep), (1, 7, 3)), planes)
    # A layer of two dimensions lies under the sliders of another one, and one of three under those of one of four.
    mixed = {**layers_of(deep), Channel.RED: Layer("red", planes[0])}
    np.testing.assert_array_equal(planes_of(mixed, (5, 1, 0, 0)), planes)
    pyramids: dict[Channel, Any] = {
        channel: Layer("a", [plane, plane[::2, ::2]]) for channel, plane in zip(Channel, planes, strict=True)
    }
    np.testing.assert_array_equal(planes_of(pyramids, (0, 0)), planes)


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ({**layers_of(random_planes(RNG)), Channel.BLUE: None}, "no layer is blue"),
        (
            {**layers_of(random_planes(RNG)), Channel.BLUE: Layer("c", np.zeros((64, 64, 3), np.uint8), rgb=True)},
            "colour",
        ),
        (layers_of(random_planes(RNG).astype(np.float32)), "float32"),
        ({**layers_of(random_planes(RNG)), Channel.BLUE: Layer("c", np.zeros((32, 32), np.uint8))}, "differ in size"),
        (layers_of(np.zeros((4, 4, 4), np.uint8)), "at least 16"),
    ],
)
def test_what_is_no_field_is_refused(layers: Any, reason: str) -> None:
    with pytest.raises(PlaneError, match=reason):
        planes_of(layers, (0, 0))


@pytest.mark.parametrize(
    ("scale", "units", "size"),
    [
        ([0.5, 0.1, 0.1], ("micrometer",) * 3, 0.1),
        ([125.0, 125.0], ("nanometer", "nanometer"), 0.125),
        ([0.1, 0.1], ("micrometer", "pixel"), None),
        ([0.1, 0.1], ("pixel", "pixel"), None),
        ([0.1, 0.2], ("micrometer",) * 2, None),
    ],
)
def test_the_size_of_a_pixel_is_taken_from_the_layer(scale: list[float], units: Any, size: float | None) -> None:
    layer = Layer("a", np.zeros((20, 20), np.uint8), scale=np.array(scale), units=units)
    assert pixel_size_of(layer) == size


@pytest.mark.parametrize(
    ("text", "white"),
    [
        ("", None),
        (" 4095 ", 4095.0),
        ("dtype", "dtype"),
        ("percentile", "percentile"),
        ("1, 2 3,4", [1.0, 2.0, 3.0, 4.0]),
    ],
)
def test_a_white_level_is_read(text: str, white: Any) -> None:
    assert white_of(text) == white


@pytest.mark.parametrize("text", ["0", "-1", "white", "1 2", "1 2 3 4 5", "dtype 3"])
def test_a_white_level_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(HpaError, match="no white level"):
        white_of(text)


def test_the_answer_is_the_predictor_s(model: Path) -> None:
    predictor = Predictor.load(model, device="cpu")
    planes = random_planes(RNG, dtype=np.uint16)
    found = classify(predictor, planes, white=4095, pixel_size=0.1, name="a")
    (expected,) = predictor.predict_planes(planes[None], white=4095)
    np.testing.assert_array_equal(found.prediction.probabilities, expected.probabilities)
    assert "unknown" in found.notes[0]
    with pytest.raises(PlaneError, match="white"):
        classify(predictor, planes, white=None, pixel_size=None, name="a")


def test_a_field_is_brought_to_the_scale_of_training_and_its_percentile_taken_before(tmp_path: Path) -> None:
    training = replace(CARD.training, pixel_size=0.2, field_side=64)
    predictor = Predictor.load(make_model(tmp_path / "a.onnx", training=training), device="cpu")
    planes = random_planes(RNG, side=32, dtype=np.uint16)
    found = classify(predictor, planes, white="percentile", pixel_size=0.2, name="a")
    framed = np.pad(planes, ((0, 0), (16, 16), (16, 16)))
    levels = [float(np.percentile(plane, 99.9)) for plane in planes]
    (expected,) = predictor.predict_planes(framed[None], white=levels)
    np.testing.assert_allclose(found.prediction.probabilities, expected.probabilities, atol=1e-6)
    assert "fills 25%" in found.notes[0]
