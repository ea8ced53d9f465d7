"""A segmentation network in ONNX, described by a card of unit "pixel", gives the cells that its maps show."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hpa_sdk import ModelCard, Predictor
from hpa_sdk.cells import CellAnswers, ClassicalSegmenter, SegmentationSettings
from hpa_sdk.cells.network import NetworkSegmenter
from hpa_sdk.errors import ModelCardError, ModelFileError, SettingError
from hpa_sdk.models.model_card import METADATA_KEY
from hpa_sdk.models.network_form import MAPS, Tensors
from hpa_sdk.preprocessing import Preprocessing
from tests.hpa_sdk.cells.made_fields import FOUR, NUCLEUS, PIXEL, draw
from tests.small import CARD

BLEND = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
MAPS_CARD: ModelCard = replace(
    CARD,
    name="maps",
    scheme="maps",
    labels=MAPS,
    thresholds=(0.5, 0.5, 0.5),
    unit="pixel",
    tensors=Tensors(scores="maps", scores_are="logits", embedding=None),
    preprocessing=Preprocessing(channels=("red", "blue", "yellow"), blend=BLEND, size=None, layout="nchw"),
)


def make_network(path: Path, card: ModelCard = MAPS_CARD, *, halved: bool = False) -> Path:
    """A network that is sure of nuclei where blue is over 0.3, and of cells where red is over 0.2."""
    weights = np.zeros((3, 3, 1, 1), np.float32)
    weights[0, 1], weights[1, 0] = 100, 100
    nodes = [helper.make_node("Conv", ["image", "weights", "bias"], ["large" if halved else "maps"])]
    if halved:
        nodes.append(helper.make_node("AveragePool", ["large"], ["maps"], kernel_shape=[2, 2], strides=[2, 2]))
    values: Any = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "maps",
        [values("image", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [values("maps", TensorProto.FLOAT, ["N", 3, "h", "w"])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([-30, -20, -50], np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, path)
    return path


def test_nuclei_of_a_squeezed_field_have_their_area(tmp_path: Path) -> None:
    form = replace(MAPS_CARD.preprocessing, size=256)
    segmenter = NetworkSegmenter.load(
        make_network(tmp_path / "maps.onnx", replace(MAPS_CARD, preprocessing=form)), device="cpu"
    )
    area = np.pi * (NUCLEUS * PIXEL) ** 2
    for share, count in ((0.75, 2), (1.3, 0)):
        settings = SegmentationSettings(least_nucleus=share * area)
        found = replace(segmenter, settings=settings).segment(draw(FOUR)[:, :180], id="A01", pixel_size=PIXEL)
        assert len(found.cells) == count


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("pixel_size", [PIXEL, None])
def test_its_maps_become_cells(tmp_path: Path, *, halved: bool, pixel_size: float | None) -> None:
    planes = draw(FOUR)[:, :, :370]  # no multiple of 32
    segmenter = NetworkSegmenter.load(make_network(tmp_path / "maps.onnx", halved=halved), device="cpu")
    found = segmenter.segment(planes, id="A01", pixel_size=pixel_size)
    classical = ClassicalSegmenter().segment(planes, id="A01", pixel_size=pixel_size)
    assert found.labels.shape == (384, 370)
    assert found.source == "maps"
    assert [tuple(map(round, cell.centre)) for cell in found.cells] == list(FOUR)
    assert [cell.area for cell in found.cells] == pytest.approx([cell.area for cell in classical.cells], rel=0.08)


def test_cells_are_predicted_with_it(model: Path, tmp_path: Path) -> None:
    segmenter = NetworkSegmenter.load(make_network(tmp_path / "maps.onnx"), device="cpu")
    with Predictor.load(model, device="cpu") as predictor:
        (answer,) = predictor.cells(draw(FOUR), segmenter=segmenter)
    assert isinstance(answer, CellAnswers)
    assert len(answer.answers) == 4


def test_a_field_without_nuclei_says_so(tmp_path: Path) -> None:
    segmenter = NetworkSegmenter.load(make_network(tmp_path / "maps.onnx"), device="cpu")
    found = segmenter.segment(draw([]), id="A01", pixel_size=PIXEL)
    assert found.cells == ()
    assert found.notes == ("the network found no nucleus",)


def test_a_fixed_size_is_resized_both_ways(tmp_path: Path) -> None:
    card = replace(MAPS_CARD, preprocessing=replace(MAPS_CARD.preprocessing, size=192))
    segmenter = NetworkSegmenter.load(make_network(tmp_path / "maps.onnx", card), device="cpu")
    found = segmenter.segment(draw(FOUR), id="A01", pixel_size=PIXEL)
    assert found.labels.shape == (384, 384)
    assert [cell.centre[0] for cell in found.cells] == pytest.approx([80, 80, 280, 280], abs=1)


def test_it_is_refused_as_a_model_for_labels(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"finds cells, and answers with no label set.*--segmenter"):
        Predictor.load(make_network(tmp_path / "maps.onnx"), device="cpu")


def test_a_model_for_fields_is_refused_as_a_segmenter(model: Path) -> None:
    with pytest.raises(ModelCardError, match="answers for fields, and finds no cells"):
        NetworkSegmenter.load(model, device="cpu")


@pytest.mark.parametrize("wrong", [{"labels": ("cells", "nuclei")}, {"labels": MAPS, "tensors": Tensors()}])
def test_a_card_names_the_maps_in_order(wrong: dict[str, Any]) -> None:
    card = replace(MAPS_CARD, thresholds=(0.5,) * len(wrong["labels"]), **wrong)
    with pytest.raises(ModelCardError, match="unit is a pixel"):
        card.check()


def test_maps_of_another_number_are_refused(tmp_path: Path) -> None:
    card = replace(MAPS_CARD, labels=MAPS[:2], thresholds=(0.5, 0.5))
    segmenter = NetworkSegmenter.load(make_network(tmp_path / "maps.onnx", card), device="cpu")
    with pytest.raises(ModelFileError, match="not 2 finite maps"):
        segmenter.segment(draw(FOUR), id="A01", pixel_size=PIXEL)
