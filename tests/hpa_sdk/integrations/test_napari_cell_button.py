"""The widget in napari itself finds the cells of a field; skipped where napari or a Qt binding is not installed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("qtpy.QtWidgets", reason="no Qt binding is installed", exc_type=ImportError)
components = pytest.importorskip("napari.components", reason="napari is not installed")

from qtpy.QtCore import Qt  # noqa: E402

from hpa_sdk.cells import CellAnswers  # noqa: E402
from hpa_sdk.fields.rules import FieldRules, Files  # noqa: E402
from hpa_sdk.fields.samples import Channel  # noqa: E402
from hpa_sdk.integrations.napari_widget import ClassifyField  # noqa: E402
from hpa_sdk.predictor import Predictor  # noqa: E402
from tests.hpa_sdk.cells.made_fields import FOUR, PIXEL, draw  # noqa: E402
from tests.hpa_sdk.integrations.test_napari_widget import finish  # noqa: E402
from tests.small import make_model  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # napari and its libraries warn of their own

PLANES = draw(FOUR)
STACK = np.stack([draw(FOUR[:2]), PLANES], 1)
"""(channels, z, H, W): two cells below, four above."""


@pytest.fixture
def viewer() -> Any:
    return components.ViewerModel()


@pytest.fixture
def widget(viewer: Any, tmp_path: Path) -> Any:
    made = ClassifyField(viewer)
    made.model.setText(str(make_model(tmp_path / "small.onnx")))
    made.device.setCurrentText("cpu")
    return made


def show_cells(viewer: Any, widget: Any, data: Any, **place: Any) -> Any:
    """Add a field and show its cells, and give their layer."""
    for channel, plane in zip(Channel, data, strict=True):
        viewer.add_image(plane, name=str(channel), **place)
    if data.ndim > 3:
        viewer.dims.set_point(0, 1)
    widget.cells_button.click()
    finish(widget)
    found = [layer for layer in viewer.layers if layer.name.startswith("cells of")]
    assert len(found) == 1, widget.message.text()
    return found[0]


def expected_of(widget: Any, planes: Any, **options: Any) -> CellAnswers:
    rules = FieldRules(files=Files(pixel_size=PIXEL))
    with Predictor.load(widget.model.text(), device="cpu", **options) as predictor:
        (answers,) = predictor.cells([planes], rules=rules)
    assert isinstance(answers, CellAnswers)
    return answers


def test_the_cells_are_a_layer_over_the_field(viewer: Any, widget: Any) -> None:
    place = {"scale": (PIXEL, PIXEL), "translate": (3.0, -2.0), "units": ("um", "um")}
    layer = show_cells(viewer, widget, PLANES, **place)
    expected = expected_of(widget, PLANES)
    np.testing.assert_array_equal(layer.data, expected.segmentation.labels)
    assert layer.features["labels"].tolist() == [";".join(map(str, one)) for one in expected.answers]  # type: ignore[arg-type]
    image = viewer.layers["red"]
    for point in ((0.0, 0.0), (100.0, 37.0)):
        np.testing.assert_allclose(layer.data_to_world(point), image.data_to_world(point))
    assert "4 cells, 0 of them at the border" in widget.message.text()
    assert widget.message.textFormat() == Qt.TextFormat.PlainText
    assert "red is layer 'red'" in widget.message.text()
    widget.classify()  # which uses the same predictor
    finish(widget)
    assert widget.table.rowCount() == 28


def test_sixteen_bits_use_the_white_level(viewer: Any, widget: Any) -> None:
    deep = PLANES.astype(np.uint16) * 16
    for channel, plane in zip(Channel, deep, strict=True):
        viewer.add_image(plane, name=str(channel), scale=(PIXEL, PIXEL), units=("um", "um"))
    widget.cells_button.click()
    finish(widget)
    assert "nobody said which intensity is white" in widget.message.text()
    widget.white.setCurrentText("4095")
    widget.cells_button.click()
    finish(widget)
    expected = expected_of(widget, deep, white=4095)
    layer = viewer.layers[-1]
    assert layer.features["labels"].tolist() == [";".join(map(str, one)) for one in expected.answers]  # type: ignore[arg-type]


def test_the_layer_hides_when_its_field_changes(viewer: Any, widget: Any) -> None:
    layer = show_cells(viewer, widget, STACK, scale=(1.0, PIXEL, PIXEL), units=("um", "um", "um"))
    assert len(layer.features) == len(FOUR)
    assert layer.visible
    viewer.dims.set_point(0, 0)
    assert not layer.visible
    assert layer in viewer.layers


def test_a_field_without_cells_says_so(viewer: Any, widget: Any) -> None:
    layer = show_cells(viewer, widget, draw([]))
    assert not layer.data.any()
    assert "no nucleus was found" in widget.message.text()
