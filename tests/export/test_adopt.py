"""A file from elsewhere gets its card, and stays the same file otherwise."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export import adopt as adoption
from hpa_sdk import Predictor, Sample
from hpa_sdk.labels import HPA_2021
from hpa_sdk.models.checksum import checksum_matches
from hpa_sdk.models.contract import check_model
from hpa_sdk.models.model_card import METADATA_KEY
from hpa_sdk.models.onnx_file import graph_sha256, read_onnx
from tests.export.variant_commands import card_of, export, make
from tests.small import make_model
from tests.stand_ins import SINGLE_CELL, Interface, write_stand_in
from tests.stand_ins import card_of as described

PUBLISHED = replace(Interface(), side=48, opset=11)
CARD = """\
name = "Größe"
scheme = "{scheme}"
thresholds = 0.25
unit = "{unit}"
licence = "MIT"

[preprocessing]
channels = ["red", "green", "blue", "yellow"]
size = {size}
layout = "nchw"
scale = 255

[tensors]
input = "image"
scores = "classes"
scores_are = "probabilities"
embedding = "features"
{cell}
"""


def write_card(path: Path, *, scheme: str = "hpa-2018", size: int = 48, cell: bool = False) -> Path:
    crop = "[cell]\nmargin = 20\nmasked = true\n" if cell else ""
    path.write_text(
        CARD.format(scheme=scheme, size=size, unit="cell" if cell else "field", cell=crop), encoding="utf-8"
    )
    return path


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    return write_stand_in(tmp_path / "frëmd.onnx", PUBLISHED)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return write_card(tmp_path / "card.toml")


def refused(tmp_path: Path, message: str, *arguments: object) -> None:
    before = sorted(tmp_path.iterdir())
    result = export("adopt", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_an_adopted_file_answers_the_same_to_the_last_bit(
    stranger: Path, card: Path, fields: list[Sample], tmp_path: Path
) -> None:
    result = export("adopt", stranger, "--card", card, "-o", tmp_path / "own.onnx")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "28 classes of hpa-2018" in result.stderr
    before, after = (
        Predictor.load(path, device="cpu", card=given).predict(fields)
        for path, given in ((stranger, card), (tmp_path / "own.onnx", None))
    )
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        np.testing.assert_array_equal(one.embedding, other.embedding)
        assert one == other


def test_only_metadata_is_added(stranger: Path, card: Path, tmp_path: Path) -> None:
    model = onnx.load(stranger)
    onnx.helper.set_model_props(model, {"author": "Zoë"})
    onnx.save(model, stranger)
    own = tmp_path / "own.onnx"
    adoption.adopt(stranger, card, own)
    content = own.read_bytes()
    assert content.startswith(stranger.read_bytes())
    assert graph_sha256(content) == graph_sha256(stranger.read_bytes())
    assert checksum_matches(memoryview(content))
    onnx.checker.check_model(own, full_check=True)
    assert read_onnx(own).metadata["author"] == "Zoë"
    found = check_model(own, verify=True)
    assert (found.name, found.licence, found.thresholds[:2]) == ("Größe", "MIT", (0.25, 0.25))
    assert found.weights_sha256 == graph_sha256(content)
    assert found.created.startswith("20")


def test_another_scheme_and_unit_are_kept(tmp_path: Path) -> None:
    stranger = write_stand_in(tmp_path / "cells.onnx", replace(SINGLE_CELL, side=48))
    card = write_card(tmp_path / "card.toml", scheme="hpa-2021", cell=True)
    adoption.adopt(stranger, card, tmp_path / "own.onnx")
    found = card_of(tmp_path / "own.onnx")
    assert (found.label_scheme, found.unit, found.cell) == (HPA_2021, "cell", described(SINGLE_CELL).cell)


def test_a_card_is_replaced_only_on_request(stranger: Path, card: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    adoption.adopt(stranger, card, own)
    refused(tmp_path, "carries a card already", own, "--card", card, "-o", tmp_path / "again.onnx")
    other = card.with_name("other.toml")
    other.write_text(card.read_text(encoding="utf-8").replace("0.25", "0.75"), encoding="utf-8")
    assert export("adopt", own, "--card", other, "-o", tmp_path / "again.onnx", "--replace").exit_code == 0
    found = check_model(tmp_path / "again.onnx", verify=True)
    assert found.thresholds == (0.75,) * 28
    keys = [entry.key for entry in onnx.load(tmp_path / "again.onnx").metadata_props]
    assert keys == [METADATA_KEY, "hpa_file_sha256"]
    assert (tmp_path / "again.onnx").read_bytes().startswith(stranger.read_bytes())


def test_what_can_t_be_adopted_leaves_no_file(stranger: Path, card: Path, tmp_path: Path) -> None:
    out = tmp_path / "own.onnx"
    refused(tmp_path, "is the model itself", stranger, "--card", card, "-o", stranger)
    wrong = write_card(tmp_path / "wrong.toml", scheme="hpa-2021")
    refused(tmp_path, "needs the output classes float32 (N, 19)", stranger, "--card", wrong, "-o", out)
    wrong = write_card(tmp_path / "wrong.toml", size=64)
    refused(tmp_path, "needs the input image", stranger, "--card", wrong, "-o", out)
    refused(tmp_path, "no such file", tmp_path / "gone.onnx", "--card", card, "-o", out)
    refused(tmp_path, "can't be read", stranger, "--card", tmp_path / "gone.toml", "-o", out)
    (tmp_path / "noise.onnx").write_bytes(b"\xff" * 100)
    refused(tmp_path, "no ONNX model", tmp_path / "noise.onnx", "--card", card, "-o", out)
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as package:
        package.write(stranger, "model.onnx")
    refused(tmp_path, "this is a package", tmp_path / "package.zip", "--card", card, "-o", out)


def test_a_file_that_changes_meanwhile_is_refused(
    stranger: Path, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(path: Path) -> memoryview:
        content = memoryview(path.read_bytes())
        write_stand_in(path, PUBLISHED, seed=1)
        return content

    monkeypatch.setattr(adoption, "map_file", change)
    refused(tmp_path, "changed while it was read", stranger, "--card", card, "-o", tmp_path / "own.onnx")


@pytest.mark.parametrize("kind", ["two inputs", "external data", "custom operator", "oversize", "unknown operator"])
def test_bad_models_are_refused_before_they_run(
    stranger: Path, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    model, path = onnx.load(stranger), tmp_path / "bad.onnx"
    message = {
        "two inputs": "the model needs the input image",
        "external data": "external data",
        "custom operator": "custom operator com.example.Relu",
        "oversize": "larger than an ONNX model can be",
        "unknown operator": "onnxruntime can't open the model",
    }[kind]
    if kind == "two inputs":
        model.graph.input.append(onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, [1]))
    elif kind == "custom operator":
        model.graph.node[2].domain = "com.example"
    elif kind == "unknown operator":
        model.graph.node[2].op_type = "Reluu"
    if kind == "external data":
        onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    else:
        path.write_bytes(model.SerializeToString())
    if kind == "oversize":
        monkeypatch.setattr("hpa_sdk.models.onnx_file.LARGEST_MODEL", 1000)
    if kind != "unknown operator":
        monkeypatch.setattr("onnxruntime.InferenceSession", None)
        with pytest.raises(Exception, match=message):
            Predictor.load(path, card=card, device="cpu")
    refused(tmp_path, message, path, "--card", card, "-o", tmp_path / "own.onnx")


def test_the_precision_is_that_of_the_weights(folder: Path, parent: Path, tmp_path: Path) -> None:
    model = shutil.copy(parent, tmp_path / "parent.onnx")
    card = tmp_path / "card.toml"
    text = CARD.replace("nchw", "nhwc").replace('"classes"', '"probabilities"').replace('"features"', '"embedding"')
    text = text.replace("\nscale", "\nblend = [[0.5, 0, 0, 0.5], [0, 0.5, 0, 0.5], [0, 0, 0.5, 0]]\nscale")
    card.write_text(text.format(scheme="hpa-2018", unit="field", size=299, cell=""), encoding="utf-8")
    for path, precision in ((Path(model), "fp32"), (make("fp16", Path(model), folder), "fp16")):
        found = adoption.adopt(path, card, tmp_path / "out.onnx", replace=True)
        assert (found.precision, found.variant) == (precision, None)
    model = onnx.load(model)
    scale, zero = (
        numpy_helper.from_array(array, name)
        for array, name in ((np.array(0.1, np.float32), "step"), (np.array(0, np.uint8), "zero"))
    )
    model.graph.initializer.extend([scale, zero])
    model.graph.node.insert(0, onnx.helper.make_node("QuantizeLinear", ["image", "step", "zero"], ["levels"]))
    model.graph.node.insert(1, onnx.helper.make_node("DequantizeLinear", ["levels", "step", "zero"], ["rounded"]))
    model.graph.node[2].input[0] = "rounded"
    onnx.save(model, tmp_path / "int8.onnx")
    assert adoption.adopt(tmp_path / "int8.onnx", card, tmp_path / "out.onnx", replace=True).precision == "int8"


def test_a_file_of_this_project_needs_no_adoption(tmp_path: Path, card: Path) -> None:
    refused(tmp_path, "Use the file as it is", make_model(tmp_path / "a.onnx"), "--card", card, "-o", tmp_path / "b")
