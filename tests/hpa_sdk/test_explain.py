"""The map lies where a network is known to look, at the planes' own size, and by the formula."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from export.raw_planes.graph import with_raw_planes
from hpa_sdk import HpaError, Predictor
from hpa_sdk.cli import main
from hpa_sdk.explain.occlusion import Grid, cover_and_ask
from hpa_sdk.labels import Label
from hpa_sdk.models.model_card import METADATA_KEY
from tests.small import CARD, write_planes

SIDE = 184
PLACE = slice(112, 160), slice(16, 64)  # where the network below looks: rows and columns of a field of this side
FOR, AGAINST = Label.GOLGI_APPARATUS, Label.NUCLEOLI


def looking_model(path: Path, *, raw: bool = False) -> Path:
    """Write a network whose log-odds are the protein at one place, times 5 for one label and times -5 for another."""
    look = np.zeros((23, 23), np.float32)  # an image has so many tiles a side, and a field 8 pixels for each
    look[14:20, 2:8] = 1 / 36
    weights = np.zeros((512, len(Label)), np.float32)
    weights[0, [FOR, AGAINST]] = 10, -10  # the image holds half of the protein
    values = {
        "look": np.pad(look.reshape(-1, 1), ((0, 0), (0, 511))),
        "weights": weights,
        "green": np.array([1]),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["colours"], perm=[0, 3, 1, 2]),
        helper.make_node("Gather", ["colours", "green"], ["protein"], axis=1),
        helper.make_node("AveragePool", ["protein"], ["tiles"], kernel_shape=[13, 13], strides=[13, 13]),
        helper.make_node("Flatten", ["tiles"], ["row"]),
        helper.make_node("MatMul", ["row", "look"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "weights"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "looking",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 299, 299, 3])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(Label)]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 512]),
        ],
        [numpy_helper.from_array(array, name) for name, array in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    card = CARD
    if raw:
        model = with_raw_planes(model, card)
        card = replace(card, preprocessing=replace(card.preprocessing, place="graph"))
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, path)
    return path


def noise(*, dtype: type = np.uint8) -> npt.NDArray[Any]:
    """Planes whose protein is bright everywhere."""
    planes = np.random.default_rng(4).integers(150, 250, (4, SIDE, SIDE))
    planes[1, :12] = 0  # a little background, which a covered window gets
    planes[3] = 0  # the network sees it with the protein
    return (planes * (257 if dtype is np.uint16 else 1)).astype(dtype)


def inside(page: npt.NDArray[np.float32]) -> float:
    """Return the share of a map's mass above 0 in the place."""
    positive = page.clip(0)
    return float(positive[PLACE].sum() / positive.sum())


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_map_lies_where_the_network_looks(tmp_path: Path, raw: bool, dtype: type) -> None:
    predictor = Predictor.load(looking_model(tmp_path / "looking.onnx", raw=raw), device="cpu", white="dtype")
    planes = noise(dtype=dtype)
    found = cover_and_ask(predictor, planes, Grid.over(planes, window=16, stride=16), labels=[FOR, AGAINST])
    assert found.maps.shape == (2, SIDE, SIDE)
    assert found.maps.dtype == np.dtype("float32")
    assert inside(found.maps[0]) > 0.95
    assert inside(-found.maps[1]) > 0.95
    np.testing.assert_allclose(found.maps[0], -found.maps[1], atol=0.02)


def test_the_numbers_are_those_of_the_formula(tmp_path: Path) -> None:
    predictor = Predictor.load(looking_model(tmp_path / "looking.onnx"), device="cpu")
    planes, window, stride = noise(), 32, 16
    found = cover_and_ask(predictor, planes, Grid.over(planes, window=window, stride=stride), labels=[FOR])
    whole = planes[1][PLACE].mean() / 255 * 5
    expected, covering = np.zeros((2, SIDE, SIDE))
    for top in range(stride - window, SIDE, stride):
        for left in range(stride - window, SIDE, stride):
            rows, columns = slice(max(top, 0), top + window), slice(max(left, 0), left + window)
            covered = planes[1].copy()
            covered[rows, columns] = 0
            expected[rows, columns] += whole - covered[PLACE].mean() / 255 * 5
            covering[rows, columns] += 1
    assert (covering == 4).all()
    # The network sees the field enlarged by bilinear interpolation, which blurs the place's edges.
    np.testing.assert_allclose(found.maps[0], expected / 4, atol=0.12)
    assert expected.max() / 4 > 1


def test_labels_are_those_predicted_or_the_likeliest(tmp_path: Path) -> None:
    predictor = Predictor.load(looking_model(tmp_path / "looking.onnx"), device="cpu")
    planes = noise()
    grid = Grid.over(planes, window=92)
    assert FOR in cover_and_ask(predictor, planes, grid).labels
    strict = Predictor.load(looking_model(tmp_path / "looking.onnx"), device="cpu", threshold=1.0)
    assert cover_and_ask(strict, planes, grid).labels == (FOR,)


@pytest.mark.parametrize(("window", "stride"), [(10, 11), (185, 5)])
def test_windows_that_leave_gaps_are_refused(window: int, stride: int) -> None:
    with pytest.raises(HpaError, match="don't cover 184x184"):
        Grid.over(noise(), window=window, stride=stride)


@pytest.mark.parametrize(("height", "width", "window", "stride"), [(16, 16, 16, 16), (40, 17, 5, 3), (64, 512, 64, 7)])
def test_every_pixel_is_covered(height: int, width: int, window: int, stride: int) -> None:
    grid = Grid(height, width, window, stride)
    covering = np.zeros((height, width), int)
    for place in grid:
        covering[place] += 1
    assert covering.min() >= 1
    assert len(list(grid)) == len(grid)


def hpa(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["explain", *map(str, arguments)], catch_exceptions=False)


def test_the_command_draws_and_keeps_the_map(tmp_path: Path) -> None:
    model = looking_model(tmp_path / "looking.onnx")
    first = write_planes(tmp_path, "Zelle ö", noise())
    broken = write_planes(tmp_path, "broken", noise())
    broken.files[0].write_bytes(b"")
    picture, maps = tmp_path / "overlay.png", tmp_path / "map.tiff"
    asked = (first.files[0], "--label", "golgi apparatus", "--label", "Nucleoli", "--window", 32, "--device", "cpu")
    result = hpa(model, broken.files[1], *asked, "-o", picture, "--save-map", maps)
    assert result.exit_code == 1
    assert "broken" in result.stderr
    assert "the file is empty" in result.stderr
    assert "169 windows of 32 pixels every 16" in result.stderr
    assert "s, by the first 16 windows" in result.stderr
    with Image.open(maps) as pages:
        assert (pages.n_frames, pages.size, pages.mode) == (2, (SIDE, SIDE), "F")  # type: ignore[attr-defined]
        names = json.loads(pages.tag_v2[270])  # type: ignore[attr-defined]
        assert names[0] == {"id": "Zelle ö", "label": "Golgi apparatus"}
        assert inside(np.asarray(pages)) > 0.6
    with Image.open(picture) as drawn:
        colours = np.asarray(drawn.convert("RGB"), int)
    panel = colours[54 : 54 + 448, 14 + 2 * 462 : 14 + 2 * 462 + 448]
    warm = panel[..., 0] - panel[..., 2]
    scale = 448 / SIDE
    rows, columns = (slice(int(part.start * scale), int(part.stop * scale)) for part in PLACE)
    assert warm[rows, columns].mean() > 60
    assert warm[: rows.start // 2].mean() < 10


def test_the_command_says_what_keeps_it_from_starting(tmp_path: Path) -> None:
    model = looking_model(tmp_path / "looking.onnx")
    field = write_planes(tmp_path, "field", noise()).files[0]
    for arguments, reason in (
        ((field, "--label", "Elbow"), "'Elbow' names none"),
        ((field, "--window", 500), "don't cover"),
        ((tmp_path / "gone",), "no sample lies here"),
        ([field] * 21, "more than the 20"),
    ):
        result = hpa(model, *arguments, "-o", tmp_path / "overlay.png", "--device", "cpu")
        assert result.exit_code == 2
        assert reason in result.stderr
    assert not (tmp_path / "overlay.png").exists()
