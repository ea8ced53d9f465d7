"""Layers become the field that they show; channels are guessed from their names."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpa_sdk.errors import HpaError, PlaneError
from hpa_sdk.fields.samples import Channel
from hpa_sdk.integrations.napari_fields import (
    LoadedModel,
    classify,
    guess_channels,
    names_of,
    usual_names,
    white_of,
)
from hpa_sdk.integrations.napari_layers import View, common_pixel_size, pixel_size_of, planes_of
from hpa_sdk.predictor import Predictor
from tests.small import CARD, make_model, random_planes

RNG = np.random.default_rng(2)


@dataclass
class Layer:
    """What an image layer of napari has."""

    name: str
    data: Any
    rgb: bool = False
    multiscale: bool = False
    scale: tuple[float, ...] = ()
    translate: tuple[float, ...] = ()
    units: tuple[Any, ...] = ()
    linear: Any = None

    def __post_init__(self) -> None:
        self.ndim = (self.data[0] if self.multiscale else self.data).ndim - self.rgb
        self.units = self.units or ("pixel",) * self.ndim

    def world_to_data(self, position: Any) -> Any:
        place = np.asarray(position, np.float64)[-self.ndim :] - (self.translate or (0.0,) * self.ndim)
        return np.linalg.solve(np.diag(self.scale or (1.0,) * self.ndim) if self.linear is None else self.linear, place)


def view(*point: float, **more: Any) -> View:
    return View(**{"point": point, "displayed": (len(point) - 2, len(point) - 1), **more})


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


def test_a_channel_that_the_model_does_not_take_needs_no_layer() -> None:
    planes = random_planes(RNG, side=20)
    taken = (Channel.RED, Channel.GREEN, Channel.BLUE)
    layers = {**layers_of(planes), Channel.YELLOW: None}
    found = planes_of(layers, view(0, 0), taken)
    np.testing.assert_array_equal(found.planes, np.stack([*planes[:3], planes[3] * 0]))
    assert len(found.notes) == 3
    with pytest.raises(PlaneError, match="no layer is yellow"):
        planes_of(layers, view(0, 0))


def test_the_planes_that_are_shown_are_taken() -> None:
    planes = random_planes(RNG, side=20)
    found = planes_of(layers_of(planes), view(0, 0))
    np.testing.assert_array_equal(found.planes, planes)
    assert found.notes == tuple(f"{channel} is layer {str(channel)!r}" for channel in Channel)
    deep = np.stack([planes * 0, planes, planes * 0], axis=1)
    found = planes_of(layers_of(deep), view(1, 7, 3))
    np.testing.assert_array_equal(found.planes, planes)
    assert found.notes[0] == "red is plane 1 of layer 'red'"
    # A layer of two dimensions lies under the sliders of another one, and one of three under those of one of four.
    mixed = {**layers_of(deep), Channel.RED: Layer("red", planes[0])}
    np.testing.assert_array_equal(planes_of(mixed, view(5, 1, 0, 0)).planes, planes)
    pyramids: dict[Channel, Any] = {
        channel: Layer("a", [plane, plane[::2, ::2]], multiscale=True)
        for channel, plane in zip(Channel, planes, strict=True)
    }
    np.testing.assert_array_equal(planes_of(pyramids, view(0, 0)).planes, planes)


DEEP = np.random.default_rng(6).integers(0, 255, (4, 9, 20, 20), np.uint8)


def deep_layers(**red: Any) -> dict[Channel, Any]:
    """Four layers of nine planes, 1 apart; that of red is another one."""
    return {**layers_of(DEEP), Channel.RED: Layer("red", DEEP[0], **red)}


@pytest.mark.parametrize(
    ("red", "z", "plane"),
    [
        # Twice as far apart, begun elsewhere, and both.
        ({"scale": (2.0, 1.0, 1.0)}, 4, 2),
        ({"translate": (3.0, 0.0, 0.0)}, 4, 1),
        ({"scale": (2.0, 1.0, 1.0), "translate": (-2.0, 0.0, 0.0)}, 4, 3),
        # A half goes to the even neighbour, as in napari.
        ({"scale": (2.0, 1.0, 1.0)}, 5, 2),
        ({"scale": (2.0, 1.0, 1.0)}, 7, 4),
    ],
)
def test_each_layer_s_own_plane_is_taken(red: dict[str, Any], z: int, plane: int) -> None:
    found = planes_of(deep_layers(**red), view(z, 0, 0)).planes
    np.testing.assert_array_equal(found, [DEEP[0, plane], *DEEP[1:, z]])


@pytest.mark.parametrize("red", [{"translate": (6.0, 0.0, 0.0)}, {"scale": (0.25, 1.0, 1.0)}])
def test_a_place_outside_a_layer_is_refused(red: dict[str, Any]) -> None:
    with pytest.raises(PlaneError, match=r"outside the layer.*shows nothing of it"):
        planes_of(deep_layers(**red), view(4, 0, 0))
    with pytest.raises(PlaneError, match="outside the layer"):
        planes_of(layers_of(DEEP), view(8.6, 0, 0))
    np.testing.assert_array_equal(planes_of(layers_of(DEEP), view(8.4, 0, 0)).planes, DEEP[:, 8])


@pytest.mark.parametrize(
    "red",
    [
        {"scale": (1.0, 1.1, 1.1)},
        {"translate": (0.0, 0.0, 2.0)},
        {"linear": [[1, 0, 0], [0, 0, 1], [0, 1, 0]]},
    ],
)
def test_layers_that_lie_apart_are_refused(red: dict[str, Any]) -> None:
    with pytest.raises(PlaneError, match="pixels off the layer"):
        planes_of(deep_layers(**red), view(4, 0, 0))


def test_a_layer_that_is_tilted_is_refused() -> None:
    with pytest.raises(PlaneError, match="out of its plane"):
        planes_of(deep_layers(linear=[[1, 0, 0.1], [0, 1, 0], [0, 0, 1]]), view(4, 0, 0))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"displayed": (0, 2)}, "does not show the last two axes"),
        ({"displayed": (0, 1, 2)}, "does not show the last two axes"),
        ({"thick": True}, "several planes as one"),
    ],
)
def test_a_view_that_is_no_plane_is_refused(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(PlaneError, match=reason):
        planes_of(layers_of(DEEP), view(4, 0, 0, **more))


def test_one_layer_for_two_channels_is_refused() -> None:
    layers = layers_of(random_planes(RNG))
    with pytest.raises(PlaneError, match="chosen for two channels"):
        planes_of({**layers, Channel.YELLOW: layers[Channel.RED]}, view(0, 0))


class Unit:
    """A unit as pint's, of nanometres."""

    def __init__(self, name: str, nanometres: float | None) -> None:
        self.name, self.nanometres = name, nanometres

    def __str__(self) -> str:
        return self.name

    def __rmul__(self, number: float) -> Unit:
        return self

    def to(self, other: Unit) -> Unit:
        if self.nanometres is None or other.nanometres is None:
            raise ValueError("no length")
        self.magnitude = self.nanometres / other.nanometres
        return self


def test_a_layer_in_other_units_is_read_in_its_own() -> None:
    nm, um, pixel = Unit("nanometer", 1), Unit("micrometer", 1000), Unit("pixel", None)
    red: dict[str, Any] = {"scale": (2000.0, 1000.0, 1000.0), "units": (nm,) * 3}
    others = {channel: Layer(str(channel), DEEP[at], units=(um,) * 3) for at, channel in enumerate(Channel)}
    layers = {**others, Channel.RED: Layer("red", DEEP[0], **red)}
    found = planes_of(layers, view(4, 0, 0, units=(um,) * 3)).planes
    np.testing.assert_array_equal(found, [DEEP[0, 2], *DEEP[1:, 4]])
    with pytest.raises(PlaneError, match="is in pixel, and the viewer in micrometer"):
        planes_of({**layers, Channel.RED: Layer("red", DEEP[0], units=(pixel,) * 3)}, view(4, 0, 0, units=(um,) * 3))


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
        planes_of(layers, view(0, 0))


@pytest.mark.parametrize(
    ("scale", "units", "size"),
    [
        ([0.1, 0.1], ("micrometer",) * 2, 0.1),
        ([125.0, 125.0], ("nanometer", "nanometer"), 0.125),
        ([0.1, 0.1], ("micrometer", "pixel"), None),
        ([0.1, 0.1], ("pixel", "pixel"), None),
        ([0.1, 0.2], ("micrometer",) * 2, None),
    ],
)
def test_the_size_of_a_pixel_is_taken_from_the_layer(scale: list[float], units: Any, size: float | None) -> None:
    for deeper in ((), (1,)):
        data = np.zeros((*deeper, 20, 20), np.uint8)
        layer = Layer("a", data, scale=(*[0.5] * len(deeper), *scale), units=(*units[: len(deeper)], *units))
        assert pixel_size_of(layer) == (size and pytest.approx(size))


def test_the_size_of_a_pixel_is_that_of_all_layers() -> None:
    layers = [
        Layer("a", np.zeros((20, 20), np.uint8), scale=(size, size), units=(unit, unit))
        for size, unit in ((0.1, "micrometer"), (100.0, "nanometer"), (0.2, "micrometer"), (1.0, "pixel"))
    ]
    assert common_pixel_size(layers[:2]) == pytest.approx(0.1)
    assert [common_pixel_size(chosen) for chosen in ([], layers[:3], layers[:2] + layers[3:])] == [None] * 3


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


def test_a_percentile_is_taken_before_scaling_to_training(tmp_path: Path) -> None:
    training = replace(CARD.training, pixel_size=0.2, field_side=64)
    predictor = Predictor.load(make_model(tmp_path / "a.onnx", training=training), device="cpu")
    planes = random_planes(RNG, side=32, dtype=np.uint16)
    found = classify(predictor, planes, white="percentile", pixel_size=0.2, name="a")
    framed = np.pad(planes, ((0, 0), (16, 16), (16, 16)))
    levels = [float(np.percentile(plane, 99.9)) for plane in planes]
    (expected,) = predictor.predict_planes(framed[None], white=levels)
    np.testing.assert_allclose(found.prediction.probabilities, expected.probabilities, atol=1e-6)
    assert "fills 25%" in found.notes[0]


def test_a_model_is_loaded_again_when_its_file_is_another(tmp_path: Path) -> None:
    path, loaded = make_model(tmp_path / "a.onnx"), LoadedModel()
    first = loaded.predictor(path, "cpu")
    assert loaded.predictor(path, "cpu") is first
    before = path.stat()
    # Another file of the same time, as an archive unpacks it.
    other = make_model(tmp_path / "b.onnx", name="other")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    second = loaded.predictor(path, "cpu")
    assert (second.card.name, first.card.name) == ("other", "small")
