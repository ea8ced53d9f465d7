"""The widget in napari itself, without a screen; skipped where napari or a Qt binding is not installed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
npe2 = pytest.importorskip("npe2", reason="napari is not installed")
qt = pytest.importorskip("qtpy.QtWidgets", reason="no Qt binding is installed", exc_type=ImportError)
components = pytest.importorskip("napari.components", reason="napari is not installed")
APPLICATION = qt.QApplication.instance() or qt.QApplication([])

from hpa_sdk.errors import PlaneError  # noqa: E402
from hpa_sdk.fields.samples import Channel  # noqa: E402
from hpa_sdk.integrations.napari_layers import planes_of  # noqa: E402
from hpa_sdk.integrations.napari_widget import ClassifyField  # noqa: E402
from hpa_sdk.models.known_data import KnownData, field_hash  # noqa: E402
from hpa_sdk.models.network_form import CellCrop  # noqa: E402
from hpa_sdk.predictor import Predictor  # noqa: E402
from tests.small import CARD, make_model, random_planes  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # napari and its libraries warn of their own

PLANES = random_planes(np.random.default_rng(4), dtype=np.uint16)
DEEP = np.random.default_rng(5).integers(0, 255, (4, 9, 40, 40), np.uint8)


@pytest.fixture
def viewer() -> Any:
    # All of a viewer but its window, which needs a GPU or its driver.
    return components.ViewerModel()


@pytest.fixture
def widget(viewer: Any, tmp_path: Path) -> Any:
    made = ClassifyField(viewer)
    made.model.setText(str(make_model(tmp_path / "small.onnx")))
    made.device.setCurrentText("cpu")
    return made


def finish(widget: Any) -> None:
    """Let Qt work until the answer is there."""
    until = time.monotonic() + 60
    while not widget.button.isEnabled():
        assert time.monotonic() < until
        APPLICATION.processEvents()


def test_the_manifest_is_valid_and_names_the_widget() -> None:
    with resources.as_file(resources.files("hpa_sdk").joinpath("napari.yaml")) as path:
        manifest = npe2.PluginManifest.from_file(path)
    manifest.validate_imports()
    assert [one.display_name for one in manifest.contributions.widgets] == ["Organelles of a field"]


def test_a_field_is_classified(viewer: Any, widget: Any) -> None:
    for name, plane in zip(("Tubulin", "Protein", "DAPI", "ER"), PLANES, strict=True):
        viewer.add_image(plane, name=name, scale=(0.1, 0.1), units=("um", "um"))
    assert [box.currentText() for box in widget.channels.values()] == ["Tubulin", "Protein", "DAPI", "ER"]
    assert widget.pixel_size.value() == pytest.approx(0.1)
    widget.classify()
    finish(widget)
    assert "nobody said which intensity is white" in widget.message.text()
    widget.white.setCurrentText("4095")
    widget.classify()
    finish(widget)
    (expected,) = Predictor.load(widget.model.text(), device="cpu").predict_planes(PLANES[None], white=4095)
    assert widget.message.text().splitlines()[:2] == [
        "; ".join(map(str, expected)) or "No label reaches its threshold",
        "on cpu",
    ]
    rows = [[widget.table.item(row, column).text() for column in range(3)] for row in range(widget.table.rowCount())]
    assert len(rows) == 28
    assert {row[0] for row in rows[: len(expected)]} == set(map(str, expected))
    assert all(float(row[1]) >= float(row[2]) for row in rows[: len(expected)])


def answered(viewer: Any, widget: Any, data: Any) -> list[Any]:
    """Classify a field of 8-bit layers, and give the layers."""
    layers = add_field(viewer, data)
    widget.classify()
    finish(widget)
    assert widget.table.rowCount() == 28, widget.message.text()
    return layers


def test_every_layer_is_named_in_the_answer(viewer: Any, widget: Any) -> None:
    answered(viewer, widget, DEEP[:, 0])
    for channel in Channel:
        assert f"{channel} is layer {str(channel)!r}" in widget.message.text()


def test_warnings_stand_under_the_labels(viewer: Any, widget: Any) -> None:
    planes = DEEP[:, 0].copy()
    planes[1] = 7
    answered(viewer, widget, planes)
    assert widget.message.text().splitlines()[2] == (
        "\u26a0 The green plane is empty: all of its pixels have one grey level."
    )


def test_what_to_know_of_the_model_is_shown(viewer: Any, widget: Any, tmp_path: Path) -> None:
    planes = DEEP[:, 0]
    known = KnownData(field_hashes=field_hash(planes, CARD.preprocessing.channels))
    made = make_model(tmp_path / "adapted.onnx", unit="cell", cell=CellCrop(), known_data=known)
    widget.model.setText(str(made))
    answered(viewer, widget, planes)
    (expected,) = Predictor.load(made, device="cpu").predict_planes(planes[None])
    assert len(expected.notes) == 2
    assert set(expected.notes) <= set(widget.message.text().splitlines())


class Answered(NamedTuple):
    """A viewer with a classified field."""

    viewer: Any
    widget: Any
    layers: list[Any]


def choose_another_layer(field: Answered) -> None:
    field.viewer.add_image(DEEP[0, 1], name="other")
    field.widget.channels[Channel.RED].setCurrentText("other")


CHANGES: dict[str, Callable[[Answered], object]] = {
    "another layer is chosen": choose_another_layer,
    "a layer is removed": lambda field: field.viewer.layers.remove(field.layers[2]),
    "a layer gets other data": lambda field: setattr(field.layers[1], "data", DEEP[1, 1]),
    "a layer is moved": lambda field: setattr(field.layers[3], "translate", (0.0, 5.0)),
    "another model": lambda field: field.widget.model.setText("other.onnx"),
    "another white level": lambda field: field.widget.white.setCurrentText("4095"),
    "another pixel size": lambda field: field.widget.pixel_size.setValue(0.5),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_answer_is_removed_when_its_field_changes(viewer: Any, widget: Any, change: str) -> None:
    layers = answered(viewer, widget, DEEP[:, 0])
    CHANGES[change](Answered(viewer, widget, layers))
    assert widget.table.rowCount() == 0
    assert "classify again" in widget.message.text()


def test_an_answer_is_removed_when_another_plane_is_shown(viewer: Any, widget: Any) -> None:
    answered(viewer, widget, DEEP)
    viewer.dims.set_current_step(0, 7)
    assert widget.table.rowCount() == 0


def test_an_answer_stays_when_other_layers_change(viewer: Any, widget: Any) -> None:
    answered(viewer, widget, DEEP[:, 0])
    other = viewer.add_image(DEEP[0], name="other")
    other.data = DEEP[1]
    viewer.dims.set_current_step(0, 5)
    assert widget.table.rowCount() == 28


def test_an_answer_that_comes_too_late_is_not_shown(viewer: Any, widget: Any) -> None:
    layers = add_field(viewer, DEEP[:, 0])
    widget.classify()
    layers[1].data = DEEP[1, 3]
    finish(widget)
    assert widget.table.rowCount() == 0
    assert "classify again" in widget.message.text()


def test_what_is_missing_is_reported(viewer: Any, widget: Any, tmp_path: Path) -> None:
    widget.classify()
    assert "no layer is red or green or blue or yellow" in widget.message.text()
    for channel, plane in zip(Channel, PLANES, strict=True):
        viewer.add_image(plane, name=str(channel))
    widget.white.setCurrentText("dtype")
    widget.model.setText(str(tmp_path / "none.onnx"))
    widget.classify()
    finish(widget)
    assert "no such file" in widget.message.text()
    viewer.layers.remove("blue")
    assert widget.channels[Channel.BLUE].currentText() == "-"


ODD = (
    {"scale": (2.0, 1.0, 1.0)},
    {"translate": (3.0, 0.0, 0.0)},
    {"scale": (0.5, 1.0, 1.0), "translate": (-1.0, 0.0, 0.0)},
    {"scale": (2.0, 1.0, 1.0), "affine": np.diag([1.5, 1.0, 1.0, 1.0])},
    {"scale": (500.0, 1000.0, 1000.0), "units": ("nm", "nm", "nm")},
)
"""What distinguishes the z position of one layer from those of the others."""


def add_field(viewer: Any, data: Any = DEEP, names: Any = ("red", "green", "blue", "yellow"), **form: Any) -> list[Any]:
    return [viewer.add_image(plane, name=name, **form) for name, plane in zip(names, data, strict=True)]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("at", range(4))
def test_the_planes_that_napari_shows_are_taken(viewer: Any, widget: Any, odd: dict[str, Any], at: int) -> None:
    units = {"units": ("um",) * 3} if "units" in odd else {}
    layers = [
        viewer.add_image(plane, name=str(channel), **(odd if number == at else units))
        for number, (channel, plane) in enumerate(zip(Channel, DEEP, strict=True))
    ]
    refused = taken = 0
    for step in range(viewer.dims.nsteps[0]):
        viewer.dims.set_current_step(0, step)
        chosen = {channel: box.currentData() for channel, box in widget.channels.items()}
        shown = [layer._slicing_state._slice for layer in layers]
        if any(one.empty for one in shown):
            with pytest.raises(PlaneError, match="outside the layer"):
                planes_of(chosen, widget._view(chosen.values()))
            refused += 1
        else:
            found = planes_of(chosen, widget._view(chosen.values())).planes
            for plane, one in zip(found, shown, strict=True):
                np.testing.assert_array_equal(plane, np.asarray(one.image.raw))
            taken += 1
    assert taken > 2
    assert refused > 2


def test_a_rolled_or_projected_view_is_refused(viewer: Any, widget: Any) -> None:
    layers = add_field(viewer)
    widget.model.setText("none.onnx")
    viewer.dims.order = (1, 0, 2)
    widget.classify()
    assert "does not show the last two axes" in widget.message.text()
    viewer.dims.order = (0, 1, 2)
    viewer.dims.ndisplay = 3
    widget.classify()
    assert "does not show the last two axes" in widget.message.text()
    viewer.dims.ndisplay = 2
    layers[1].projection_mode = "max"
    viewer.dims.margin_left = (1.0, 0.0, 0.0)
    widget.classify()
    assert "several planes as one" in widget.message.text()


def test_the_pixel_size_follows_the_chosen_layers(viewer: Any, widget: Any) -> None:
    first = add_field(viewer, PLANES, scale=(0.1, 0.1), units=("um", "um"))
    assert widget.pixel_size.value() == pytest.approx(0.1)
    for layer in first:
        viewer.layers.remove(layer)
    assert widget.pixel_size.value() == 0
    add_field(viewer, PLANES, scale=(325.0, 325.0), units=("nm", "nm"))
    assert widget.pixel_size.value() == pytest.approx(0.325)
    # What somebody typed stays, and is said; 0 gives the layers' own again.
    widget.pixel_size.setValue(0.2)
    viewer.layers[0].scale = (326.0, 326.0)
    assert widget.pixel_size.value() == pytest.approx(0.2)
    widget.white.setCurrentText("4095")
    viewer.layers[0].scale = (325.0, 325.0)
    widget.classify()
    finish(widget)
    assert "the pixel size was typed: 0.2 um; the layers say 0.325" in widget.message.text()
    widget.pixel_size.setValue(0)
    assert widget.pixel_size.value() == pytest.approx(0.325)
    viewer.layers["green"].scale = (100.0, 100.0)
    assert widget.pixel_size.value() == 0
    widget.classify()
    assert "pixels off the layer" in widget.message.text()


def test_a_choice_stands_when_layers_are_renamed(viewer: Any, widget: Any) -> None:
    red, green, blue, yellow = add_field(viewer, PLANES)
    red.name, yellow.name = "one", "red"
    chosen = [box.currentData() for box in widget.channels.values()]
    assert [one is layer for one, layer in zip(chosen, (red, green, blue, yellow), strict=True)] == [True] * 4
    assert [box.currentText() for box in widget.channels.values()] == ["one", "green", "blue", "red"]


def test_layers_of_one_name_are_distinguished(viewer: Any, widget: Any) -> None:
    add_field(viewer, PLANES)
    other = viewer.add_image(PLANES[0] // 2, name="red")
    assert len({layer.name for layer in viewer.layers}) == 5
    box = widget.channels[Channel.RED]
    box.setCurrentIndex(box.findText(other.name))
    assert box.currentData() is other


def test_the_finest_of_several_resolutions_is_taken(viewer: Any, widget: Any) -> None:
    for channel, plane in zip(Channel, DEEP, strict=True):
        viewer.add_image([plane, plane[:, ::2, ::2]], name=str(channel), multiscale=True)
    viewer.dims.set_current_step(0, 3)
    chosen = {channel: box.currentData() for channel, box in widget.channels.items()}
    np.testing.assert_array_equal(planes_of(chosen, widget._view(chosen.values())).planes, DEEP[:, 3])
