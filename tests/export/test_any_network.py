"""Variants, raw planes and packages of networks from elsewhere go by their cards."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest

from export.bioimageio.package import export_bioimageio
from export.errors import VariantError
from export.fields import read_fields
from export.model_card import embed_card
from export.quantization.quantizer import QuantizationPlan, Quantizer
from export.raw_planes.graph import with_raw_planes
from export.triton.config import Serving
from export.triton.repository import export_triton
from export.variants.agreement import answer
from export.variants.variant import read_parent
from hpa_sdk import Predictor, find_samples
from hpa_sdk.errors import HpaError, ModelCardError, ModelFileError
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.labels import HPA_2021, SUBCELL_2024
from hpa_sdk.models.contract import check_contract
from hpa_sdk.models.onnx_file import read_onnx
from hpa_sdk.prediction import log_odds
from tests.export.variant_commands import card_of, export, make, variant_of
from tests.small import make_field
from tests.stand_ins import OWN_SCHEME, Interface, write_stand_in
from tests.stand_ins import card_of as described

INTERFACES = {
    "published: planes first, batch of one": Interface(side=48),
    "logits, sides left open": Interface(side=48, open_sides=True, logits=True, opset=12),
    "three channels, no embedding, any batch": Interface(
        side=56, channels=("red", "blue", "green"), embedding=None, batch=None, opset=13
    ),
    "channels last, batch of four, logits": Interface(side=48, batch=4, layout="nhwc", logits=True, opset=17),
    "31 classes, opset 18": Interface(scheme=SUBCELL_2024, side=48, batch=None, opset=18),
    "a lab's own classes, two channels": Interface(scheme=OWN_SCHEME, side=40, channels=("green", "blue"), opset=16),
}


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unlabelled fields."""
    folder = tmp_path_factory.mktemp("fields") / "rauschen"
    rng = np.random.default_rng(3)
    for number in range(66):
        make_field(folder, f"f{number:02}", rng, side=40 + number % 3)
    return folder


@pytest.fixture(params=list(INTERFACES.values()), ids=list(INTERFACES))
def interface(request: pytest.FixtureRequest) -> Interface:
    found: Interface = request.param
    return found


@pytest.fixture
def own(interface: Interface, tmp_path: Path) -> Path:
    """A stand-in that carries its card."""
    return write_own(tmp_path / "own.onnx", interface)


def write_own(path: Path, interface: Interface, **changes: Any) -> Path:
    write_stand_in(path, interface)
    path.write_bytes(embed_card(onnx.load(path), described(interface, **changes)))
    return path


def probabilities(path: Path, fields: Path) -> np.ndarray[Any, Any]:
    with Predictor.load(path, device="cpu") as predictor:
        return np.stack([found.probabilities for found in predictor.predict(fields)])


@pytest.mark.slow
def test_raw_planes_answer_like_images(own: Path, noise: Path, tmp_path: Path) -> None:
    result = export("raw-planes", own, noise, "-o", tmp_path / "planes.onnx")
    assert result.exit_code == 0, result.stderr
    file, card = read_onnx(tmp_path / "planes.onnx"), card_of(tmp_path / "planes.onnx")
    check_contract(file, card)
    assert file.opset == read_onnx(own).opset
    assert file.inputs["planes"].shape[1] == len(card.preprocessing.channels)
    assert file.inputs["planes"].shape[0] == (next(iter(read_onnx(own).inputs.values())).shape[0])
    np.testing.assert_allclose(probabilities(tmp_path / "planes.onnx", noise), probabilities(own, noise), atol=1e-4)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("opset", [11, 13, 18])
def test_raw_planes_apply_mean_and_deviation(tmp_path: Path, layout: str, opset: int) -> None:
    interface = Interface(side=48, channels=("blue", "red"), layout=layout, opset=opset, batch=None)
    card = described(interface)
    mixed = replace(
        card.preprocessing, blend=((0.5, 0.25), (-1.0, 2.0)), mean=(0.1, -0.2), deviation=(0.3, 0.5), scale=200.0
    )
    card = replace(card, preprocessing=mixed)
    path = write_stand_in(tmp_path / "a.onnx", interface)
    planes = np.random.default_rng(5).integers(0, 256, (3, 4, 70, 60), np.uint8)
    raw = with_raw_planes(onnx.load(path), card).SerializeToString()
    session = onnxruntime.InferenceSession(raw, providers=["CPUExecutionProvider"])
    (found,) = session.run(["classes"], {"planes": planes[:, [2, 0]]})
    expected = Predictor.load(path, card=card, device="cpu").predict_planes(planes)
    np.testing.assert_allclose(found, [item.probabilities for item in expected], atol=1e-5)
    assert np.ptp(found, axis=0).max() > 1e-3


def test_raw_planes_need_a_size_and_free_names(tmp_path: Path) -> None:
    interface = Interface(side=None)
    path = write_stand_in(tmp_path / "a.onnx", interface)
    with pytest.raises(ModelCardError, match="leaves the size open"):
        with_raw_planes(onnx.load(path), described(interface))
    interface = Interface(side=48, scores="planes")
    path = tmp_path / "b.onnx"
    model = onnx.load(write_stand_in(path, replace(interface, layout="nchw", scores="scores")))
    for node in model.graph.node:
        node.input[:] = ["inner" if name == "planes" else name for name in node.input]
        node.output[:] = [{"planes": "inner", "scores": "planes"}.get(name, name) for name in node.output]
    model.graph.output[0].name = "planes"
    with pytest.raises(ModelFileError, match="a name that raw planes need"):
        with_raw_planes(model, described(interface))


@pytest.mark.slow
def test_fp16_keeps_names_and_answers(own: Path, noise: Path, interface: Interface) -> None:
    half = make("fp16", own, noise, "--force")
    file, card = read_onnx(half), card_of(half)
    check_contract(file, card)
    assert (card.precision, file.outputs) == ("fp16", read_onnx(own).outputs)
    assert next(iter(file.weights)) == "float16"
    assert (card.label_scheme, card.tensors) == (interface.scheme, described(interface).tensors)
    np.testing.assert_allclose(probabilities(half, noise), probabilities(own, noise), atol=0.02)


@pytest.mark.slow
@pytest.mark.usefixtures("one_plan")
def test_int8_keeps_names_and_answers(own: Path, noise: Path, tmp_path: Path) -> None:
    result = export("quantize", own, noise, "-o", tmp_path / "int8.onnx", "--held-out", noise, "--force")
    assert result.exit_code == 2, "each field is calibrated or tried on"
    more = tmp_path / "more"
    rng = np.random.default_rng(8)
    for number in range(32):
        make_field(more, f"g{number:02}", rng, side=44)
    int8 = make("quantize", own, noise, "--held-out", more, "--force")
    file, card = read_onnx(int8), card_of(int8)
    check_contract(file, card)
    assert card.precision == "int8"
    assert {name: form.shape for name, form in file.outputs.items()} == {
        name: form.shape for name, form in read_onnx(own).outputs.items()
    }
    assert file.operators["QuantizeLinear"] > 0
    assert file.weights["int8"] > 0
    found, expected = probabilities(int8, more), probabilities(own, more)
    np.testing.assert_allclose(found, expected, atol=0.05)
    assert variant_of(int8).fields == 32


@pytest.mark.slow
@pytest.mark.parametrize("logits", [False, True])
def test_the_bias_of_the_scores_is_corrected(tmp_path: Path, noise: Path, logits: bool) -> None:
    own = write_own(tmp_path / "own.onnx", Interface(side=48, logits=logits))
    parent = read_parent(own, tmp_path / "out.onnx")
    fields = read_fields(noise, parent.card, least=32).first(32)
    (tmp_path / "work").mkdir()
    made = Quantizer(parent, fields, tmp_path / "work").quantize(QuantizationPlan())
    shifts = (log_odds(answer(made, parent.card, fields)) - log_odds(answer(own, parent.card, fields))).mean(axis=0)
    np.testing.assert_allclose(shifts, 0, atol=1e-5)


@pytest.mark.slow
def test_winograd_closes_sides_that_are_open(tmp_path: Path, noise: Path) -> None:
    rng = np.random.default_rng(4)
    interface = Interface(side=48, open_sides=True)
    model = onnx.load(write_stand_in(tmp_path / "a.onnx", interface))
    wide = rng.normal(0, 0.02, (128, 128, 3, 3)).astype(np.float32)
    widen = rng.normal(0, 0.2, (128, 4, 1, 1)).astype(np.float32)
    narrow = rng.normal(0, 0.1, (4, 128, 1, 1)).astype(np.float32)
    for name, array in (("widen", widen), ("wide3", wide), ("narrow", narrow)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model.graph.node[1].input[0] = "narrowed"
    for at, (taken, weight, given, pads) in enumerate(
        (("planes", "widen", "v1", 0), ("v1", "wide3", "v2", 1), ("v2", "narrow", "narrowed", 0))
    ):
        node = onnx.helper.make_node("Conv", [taken, weight], [given], pads=[pads] * 4)
        model.graph.node.insert(1 + at, node)
    own = tmp_path / "own.onnx"
    own.write_bytes(embed_card(model, described(interface)))
    made = make("winograd", own, noise, "--force")
    assert "1 of 5 by F(4 x 4, 3 x 3)" in variant_of(made).settings["convolutions"]
    assert read_onnx(made).inputs["image"].shape == (1, 4, 48, 48)
    np.testing.assert_allclose(probabilities(made, noise), probabilities(own, noise), atol=1e-5)


def test_a_triton_server_joins_requests_only_for_open_batches(own: Path, interface: Interface, tmp_path: Path) -> None:
    folder = export_triton(own, tmp_path / "repository", Serving(max_batch=8), name="a")
    text = (folder / "config.pbtxt").read_text(encoding="utf-8")
    lengths = f"{len(interface.scheme)}"
    scores = f"{interface.batch}, {lengths}" if interface.batch else lengths
    assert f'name: "classes"\n  data_type: TYPE_FP32\n  dims: [{scores}]\n  label_filename: "labels.txt"' in text
    assert text.count("label_filename") == 1
    assert f"max_batch_size: {0 if interface.batch else 8}\n" in text
    assert ("dynamic_batching" in text) == (interface.batch is None)
    assert (folder / "labels.txt").read_text(encoding="utf-8").splitlines() == list(interface.scheme.names)


def test_a_package_describes_the_network(own: Path, interface: Interface, noise: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.zip"
    if interface.batch == 4:
        with pytest.raises(VariantError, match="takes exactly 4 images"):
            export_bioimageio(own, noise, out)
        assert not out.exists()
        return
    export_bioimageio(own, noise, out)
    with zipfile.ZipFile(out) as package:
        members = {name: package.read(name) for name in package.namelist()}
    described_as = msgspec.yaml.decode(members["rdf.yaml"])
    ((taken,), (given,)) = described_as["inputs"], described_as["outputs"]
    assert [axis.get("id", axis["type"]) for axis in taken["axes"]] == ["batch", "channel", "y", "x"]
    assert taken["axes"][1]["channel_names"] == list(interface.channels)
    assert taken["axes"][0] == {"type": "batch"} | ({"size": 1} if interface.batch else {})
    assert given["id"] == "classes"
    assert len(set(given["axes"][1]["channel_names"])) == len(interface.scheme)
    assert given.get("postprocessing") == ([{"id": "sigmoid"}] if interface.logits else None)
    expected = probabilities(own, noise)[:1]
    np.testing.assert_allclose(np.load(io.BytesIO(members["test_output.npy"])), expected, atol=1e-6)
    text = members["README.md"].decode()
    assert f"Says in which of {len(interface.scheme)}" in text
    assert "colours first" in text
    assert ("second output" in text) == (interface.embedding is not None)
    np.testing.assert_array_equal(probabilities(out, noise), probabilities(own, noise))


def test_a_package_needs_the_scores_first(tmp_path: Path, noise: Path) -> None:
    interface = Interface(side=48)
    model = onnx.load(write_stand_in(tmp_path / "a.onnx", interface))
    first, second = (onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend([second, first])
    (tmp_path / "own.onnx").write_bytes(embed_card(model, described(interface)))
    with pytest.raises(VariantError, match=r"the scores \(classes\) are not the first output"):
        export_bioimageio(tmp_path / "own.onnx", noise, tmp_path / "a.zip")


class TestFields:
    """Fields to judge on: their labels by the scheme, and only the planes that the network takes."""

    def test_labels_are_those_of_the_scheme(self, noise: Path, tmp_path: Path) -> None:
        card = described(Interface(scheme=HPA_2021))
        data = Path(shutil.copytree(noise, tmp_path / "data"))
        named = {sample.id: ("Nucleoli;Negative" if at % 2 else "0 17") for at, sample in enumerate(find_samples(data))}
        with (data / "train.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("Id", "Target"), *named.items()])
        fields = read_fields(data, card, least=1)
        assert fields.targets is not None
        assert fields.targets.shape == (66, 19)
        for sample, row in zip(fields.samples, fields.targets, strict=True):
            assert set(np.flatnonzero(row)) == ({2, 18} if ";" in named[sample.id] else {0, 17})
        (data / "train.csv").write_text("Id,Target\nf00,19\n", encoding="utf-8")
        with pytest.raises(HpaError, match="0 to 18"):
            read_fields(data, card, least=1)
        scheme = {"name": SUBCELL_2024.name, "names": SUBCELL_2024.names}
        (data / "scheme.json").write_text(json.dumps(scheme), encoding="utf-8")
        with pytest.raises(HpaError, match="labels of subcell-2024, not of hpa-2021"):
            read_fields(data, card, least=1)

    def test_a_plane_that_is_not_taken_may_be_missing(self, noise: Path, tmp_path: Path) -> None:
        interface = INTERFACES["three channels, no embedding, any batch"]
        own = write_own(tmp_path / "own.onnx", interface)
        data = Path(shutil.copytree(noise, tmp_path / "data"))
        for path in data.glob("*_yellow.png"):
            path.unlink()
        assert export("raw-planes", own, data, "-o", tmp_path / "planes.onnx").exit_code == 0
        assert export("fp16", own, data, "-o", tmp_path / "half.onnx", "--force").exit_code == 0
        export_bioimageio(own, data, tmp_path / "a.zip")

    def test_copies_are_found_by_the_planes_that_are_taken(self, noise: Path, tmp_path: Path) -> None:
        card = described(INTERFACES["three channels, no embedding, any batch"])
        copies = Path(shutil.copytree(noise, tmp_path / "copies"))
        for number, path in enumerate(sorted(copies.glob("*_yellow.png"))):
            if number % 2:
                path.unlink()
            else:
                path.write_bytes(b"another plane")
        used, others = (read_fields(folder, card, least=1) for folder in (noise, copies))
        assert others.without(used, most=100).samples == ()
        four = described(Interface())
        used, others = (read_fields(folder, four, least=1) for folder in (noise, copies))
        assert len(others.without(used, most=100).samples) == 66

    def test_images_hold_the_planes_that_are_taken(self, noise: Path) -> None:
        card = described(INTERFACES["a lab's own classes, two channels"])
        fields = read_fields(noise, card, least=1).first(2)
        for sample, image in zip(fields.samples, fields.images(card.preprocessing), strict=True):
            np.testing.assert_array_equal(image, card.preprocessing(read_planes(sample)))
            assert image.shape == (2, 40, 40)
