"""The widget in napari itself, without a screen; skipped where napari or a Qt binding is not installed."""

from __future__ import annotations

import os
import time
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
npe2 = pytest.importorskip("npe2", reason="napari is not installed")
qt = pytest.importorskip("qtpy.QtWidgets", reason="no Qt binding is installed", exc_type=ImportError)
components = pytest.importorskip("napari.components", reason="napari is not installed")
APPLICATION = qt.QApplication.instance() or qt.QApplication([])

from hpa_sdk.integrations.napari_widget import ClassifyField  # noqa: E402
from hpa_sdk.predictor import Predictor  # noqa: E402
from hpa_sdk.samples import Channel  # noqa: E402
from tests.small import make_model, random_planes  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # napari and its libraries warn of their own

PLANES = random_planes(np.random.default_rng(4), dtype=np.uint16)


@pytest.fixture
def viewer() -> Any:
    # All of a viewer but its window, which needs a graphics card or its driver.
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
    assert "nobody said which intensity is white" in widget.told.text()
    widget.white.setCurrentText("4095")
    widget.classify()
    finish(widget)
    (expected,) = Predictor.load(widget.model.text(), device="cpu").predict_planes(PLANES[None], white=4095)
    assert widget.told.text().splitlines()[:2] == [
        "; ".join(map(str, expected)) or "No label reaches its threshold",
        "on cpu",
    ]
    rows = [[widget.table.item(row, column).text() for column in range(3)] for row in range(widget.table.rowCount())]
    assert len(rows) == 28
    assert {row[0] for row in rows[: len(expected)]} == set(map(str, expected))
    assert all(float(row[1]) >= float(row[2]) for row in rows[: len(expected)])


def test_what_is_missing_is_told(viewer: Any, widget: Any, tmp_path: Path) -> None:
    widget.classify()
    assert "no layer is red or green or blue or yellow" in widget.told.text()
    for channel, plane in zip(Channel, PLANES, strict=True):
        viewer.add_image(plane, name=str(channel))
    widget.white.setCurrentText("dtype")
    widget.model.setText(str(tmp_path / "none.onnx"))
    widget.classify()
    finish(widget)
    assert "no such file" in widget.told.text()
    viewer.layers.remove("blue")
    assert widget.channels[Channel.BLUE].currentText() == "-"
