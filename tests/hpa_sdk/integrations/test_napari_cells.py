"""Tests the layer of cells; with napari itself in the environment of 'make test-napari'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.label_image import write_label_image
from hpa_sdk.cells.outlines import UNLABELLED, colour_of
from hpa_sdk.cells.writers import open_cell_writer
from hpa_sdk.errors import SettingError
from hpa_sdk.integrations.napari_cells import cells_layer
from hpa_sdk.labels import HPA_2018
from hpa_sdk.prediction import Failure
from tests.hpa_sdk.cells.label_images import discs
from tests.hpa_sdk.cells.made_answers import FAILED, answers_of


@pytest.fixture
def answers(tmp_path: Path) -> CellAnswers:
    """Answers for nine cells with gaps between their numbers, written as rows and as a label image."""
    answers = answers_of(discs(9, step=7), id="a")
    write_label_image(tmp_path / "a_cells.ome.tif", answers.segmentation, id="a")
    with open_cell_writer(tmp_path / "cells.csv", "csv") as writer:
        writer.write(answers_of(discs(3), id="another"))
        writer.write(answers)
    return answers


def test_cells_have_the_colour_of_their_label(answers: CellAnswers, tmp_path: Path) -> None:
    labels, options, kind = cells_layer(tmp_path / "a_cells.ome.tif", tmp_path / "cells.csv", "a")
    assert kind == "labels"
    np.testing.assert_array_equal(labels, answers.segmentation.labels)
    features, colours = options["features"], options["colormap"]
    assert features["index"] == [cell.number for cell in answers.segmentation.cells]
    assert features["error"][FAILED]
    assert options["scale"] == (0.25, 0.25)
    for number, answer, named in zip(features["index"], answers.answers, features["labels"], strict=True):
        expected = UNLABELLED
        if not isinstance(answer, Failure) and answer.labels:
            expected = colour_of(max(map(int, answer), key=lambda index: answer.probabilities[index]))
            assert named == ";".join(map(str, answer))
        np.testing.assert_allclose(colours[number], (*np.divide(expected, 255), 1))
    assert set(HPA_2018.names) < set(features)


def test_rows_and_label_image_of_other_cells_are_refused(answers: CellAnswers, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no cell of the field 'b'"):
        cells_layer(tmp_path / "a_cells.ome.tif", tmp_path / "cells.csv", "b")
    write_label_image(tmp_path / "a_cells.ome.tif", answers_of(discs(9)).segmentation, id="a")
    with pytest.raises(SettingError, match=f"the cell 15 of '{answers.id}' is not in the label image"):
        cells_layer(tmp_path / "a_cells.ome.tif", tmp_path / "cells.csv", "a")


def test_napari_shows_the_layer(answers: CellAnswers, tmp_path: Path) -> None:
    layers = pytest.importorskip("napari.layers", reason="napari has an environment of its own: make test-napari")
    made = cells_layer(tmp_path / "a_cells.ome.tif", tmp_path / "cells.csv", "a")
    layer = layers.Layer.create(*made)
    assert layer.features["labels"].tolist() == made[1]["features"]["labels"]
    number = answers.segmentation.cells[0].number
    np.testing.assert_allclose(layer.get_color(number), made[1]["colormap"][number], atol=1e-3)
