"""Answers are reviewed in napari, into a store or a file; skipped where napari or a Qt binding is not installed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip("napari", reason="napari is not installed")
pytest.importorskip("qtpy.QtWidgets", reason="no Qt binding is installed", exc_type=ImportError)

from napari.layers import Image
from PIL import Image as Picture
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QTableWidget

from hpa_sdk.integrations.napari_review import ReviewPanel
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.review.consensus import settle
from hpa_sdk.review.log import ReviewLog
from hpa_sdk.review.record import Review
from hpa_sdk.review.tables import read_reviews
from tests.hpa_sdk.integrations.test_napari_widget import finish, viewer, widget  # noqa: F401 - fixtures
from tests.small import make_field

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def classified(viewer: Any, widget: Any, tmp_path: Path) -> Any:  # noqa: F811 - the fixtures
    """A widget that shows the answer of a field of four files."""
    sample = make_field(tmp_path / "fields", "field-1", np.random.default_rng(2))
    for file in sample.files:
        layer = Image(np.asarray(Picture.open(file)), name=file.stem)
        layer._source = layer.source.model_copy(update={"path": str(file)})  # as napari's reader does
        viewer.add_layer(layer)
    widget.classify()
    finish(widget)
    widget.review.reviewer.setText(" Anna =1 ")
    return widget


def press(widget: Any, key: str) -> None:  # noqa: F811 - as above
    widget.show()
    widget.activateWindow()
    widget.table.setFocus()
    QTest.qWaitForWindowActive(widget)
    QTest.keyClick(widget.table, getattr(Qt.Key, f"Key_{key}"))


def test_keys_store_verdicts_in_a_store(classified: Any, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    classified.review.target.setText(str(tmp_path / "store"))
    shown = [row for row in range(28) if classified.table.item(row, 0).checkState() == Qt.CheckState.Checked]
    for key in ("R", "W", "Z", "9", "L"):
        press(classified, key)
    with ResultStore(tmp_path / "store") as store:
        reviews = [entry.review for entry in ReviewLog(store.ledger).after(0)]
    assert [review.verdict for review in reviews] == ["right", "wrong", "withdrawn", "labels"]
    first = reviews[0]
    assert (first.reviewer, first.field, len(first.labels)) == ("Anna =1", "field-1", len(shown))
    assert reviews[2].withdraws == reviews[1].id
    assert len(set(reviews[3].labels) ^ set(first.labels)) == 1
    # The layers show exactly what is in the files, so an export finds the planes.
    assert [Path(file).name for file in first.result.files] == [
        f"field-1_{colour}.png" for colour in ("red", "green", "blue", "yellow")
    ]
    assert len(first.result.stamps) == 4


def test_a_file_takes_reviews_and_is_never_overwritten(classified: Any, tmp_path: Path) -> None:
    target = tmp_path / "reviews.json"
    classified.review.target.setText(str(target))
    press(classified, "U")
    press(classified, "B")
    found = list(read_reviews(target))
    assert [one.verdict for one in found if isinstance(one, Review)] == ["unsure", "bad"]
    # A review is withdrawn where it is, whatever the line names by now.
    classified.review.target.setText(str(tmp_path / "other.json"))
    press(classified, "Z")
    assert [one.verdict for one in read_reviews(target) if isinstance(one, Review)] == ["unsure", "bad", "withdrawn"]
    assert not (tmp_path / "other.json").exists()
    classified.review.target.setText(str(target))
    target.write_text("{}", encoding="utf-8")
    press(classified, "R")
    assert "no file of reviews" in classified.review.message.text()
    assert target.read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize("target", ["reviews.json", "store"])
def test_two_windows_review_into_one_place(classified: Any, tmp_path: Path, target: str) -> None:
    (tmp_path / "store").mkdir()
    other = ReviewPanel(QTableWidget())
    other.take(classified.review._result)
    other.reviewer.setText("Bob <b>")
    for panel in (classified.review, other):
        panel.target.setText(str(tmp_path / target))
    press(classified, "R")
    assert "Others" not in classified.review.message.text()
    other.judge("wrong")
    assert other.message.text().endswith("Others: Anna =1: right")
    press(classified, "U")
    assert classified.review.message.text().endswith("Others: Bob <b>: wrong")
    other.undo()
    press(classified, "B")
    assert "Others" not in classified.review.message.text()
    if target == "store":
        with ResultStore(tmp_path / "store") as store:
            stored = [entry.review for entry in ReviewLog(store.ledger).after(0)]
    else:
        stored = [one for one in read_reviews(tmp_path / target) if isinstance(one, Review)]
    assert [one.verdict for one in stored] == ["right", "wrong", "unsure", "withdrawn", "bad"]


def test_what_is_no_answer_any_more_is_not_reviewed(classified: Any, tmp_path: Path) -> None:
    classified.review.target.setText(str(tmp_path / "reviews.json"))
    classified.white.setCurrentText("4095")
    press(classified, "R")
    assert classified.review.message.text() == "Classify a field first."
    classified.review.target.setText("")
    classified.classify()
    finish(classified)
    press(classified, "R")
    assert "there is no such place" in classified.review.message.text()
    # Letters that are typed into a line are no verdicts.
    classified.review.reviewer.clear()
    classified.review.reviewer.setFocus()
    QTest.keyClicks(classified.review.reviewer, "Rwulb")
    assert classified.review.reviewer.text() == "Rwulb"


def test_a_changed_layer_is_not_taken_for_its_file(classified: Any, tmp_path: Path, viewer: Any) -> None:  # noqa: F811
    layer = viewer.layers[1]
    layer.data = layer.data // 2
    classified.classify()
    finish(classified)
    target = tmp_path / "reviews.json"
    classified.review.target.setText(str(target))
    press(classified, "U")
    (review,) = read_reviews(target)
    assert isinstance(review, Review)
    assert review.result.files == ()


def test_pictures_of_one_name_are_different_fields(viewer: Any, widget: Any, tmp_path: Path) -> None:  # noqa: F811
    for colour in ("red", "green", "blue", "yellow"):
        viewer.add_layer(Image(np.zeros((64, 64), np.uint8), name=colour))
    widget.review.reviewer.setText("Anna")
    widget.review.target.setText(str(tmp_path / "reviews.json"))
    for level in (50, 150, 150):
        viewer.layers["green"].data = np.full((64, 64), level, np.uint8)
        widget.classify()
        finish(widget)
        press(widget, "U")
    reviews = [one for one in read_reviews(tmp_path / "reviews.json") if isinstance(one, Review)]
    assert [len(field.reviews) for field in settle(reviews)] == [1, 1]
    assert len(reviews) == 3
