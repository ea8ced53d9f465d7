"""The exported file is the trained network: the contract's names and forms, and its answers."""

import json
import shutil
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from export.__main__ import main
from export.errors import ConversionError, ParityError, RunFolderError
from export.fields import read_fields
from export.onnx import export as export_module
from export.onnx.convert import convert
from export.onnx.export import export_onnx, parity_file
from export.onnx.fitted_run import read_fitted
from hpa_sdk import Label, Predictor, find_samples
from hpa_sdk.cli import main as hpa
from hpa_sdk.errors import OutputError, TableError
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.inference.devices import Device
from hpa_sdk.inference.session import Session
from hpa_sdk.models.contract import check_contract, read_card
from hpa_sdk.models.onnx_file import graph_sha256, read_onnx
from tests.conftest import COMPARED
from tests.export.small_run import SCALE, SCALED, write_small_run
from tests.pseudocoloured import write_published
from tests.small import CARD

pytestmark = pytest.mark.slow


def test_the_file_keeps_the_contract(exported: Path) -> None:
    file = read_onnx(exported)
    card = read_card(file)
    check_contract(file, card)
    assert file.opset == 18
    assert {name: str(form) for name, form in file.inputs.items()} == {"image": "float32 (N, 299, 299, 3)"}
    assert list(file.outputs) == ["probabilities", "embedding"]
    assert {form.shape[0] for form in (*file.inputs.values(), *file.outputs.values())} == {"N"}
    onnx.checker.check_model(exported, full_check=True)


def test_the_graph_holds_the_network_alone(exported: Path, network_name: str) -> None:
    operators = read_onnx(exported).operators
    # Keras' own count of layers: scales are folded, and no shape is computed from the batch.
    assert operators["Conv"] == {"inception_resnet_v2": 245, "vgg16": 14}[network_name]
    assert operators["Mul"] == 1, "the input normalization's; residual scales are in the convolutions"
    assert not {"Shape", "Cast", "Gather", "Reshape", "Slice"} & set(operators)


def test_the_card_says_where_the_file_comes_from(exported: Path, run: Path) -> None:
    card = read_card(read_onnx(exported))
    of_the_run = read_fitted(run).card
    assert card.training == of_the_run.training
    assert card.reference == of_the_run.reference is not None
    assert card.metrics == of_the_run.metrics
    assert card.weights_sha256 == graph_sha256(exported.read_bytes())
    assert card.parity is not None
    assert card.parity.samples == COMPARED
    assert card.parity.max_difference <= 1e-5
    assert card.parity.same_label_sets == 1


def test_answers_are_keras_own(exported: Path, run: Path, simulated: Path) -> None:
    network = keras.saving.load_model(run / "network.keras")
    samples = list(islice(find_samples(simulated / "train.csv"), 8))
    images = np.stack([CARD.preprocessing(read_planes(sample)) for sample in samples])
    expected = network.predict(images, verbose=0)
    predictions = Predictor.load(exported, device="cpu").predict(samples)
    np.testing.assert_allclose([item.probabilities for item in predictions], expected, rtol=0, atol=1e-5)
    assert [set(map(int, item)) for item in predictions] == [
        set(np.flatnonzero(row >= np.float32(0.2)).tolist()) for row in expected
    ]
    last = network.get_layer("probabilities")
    logits = np.stack([item.embedding for item in predictions]) @ last.kernel.numpy() + last.bias.numpy()
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), expected, rtol=0, atol=1e-5)


def test_batches_and_padding_do_not_change_answers(exported: Path, simulated: Path) -> None:
    samples = islice(find_samples(simulated / "train.csv"), 5)
    images = np.stack([CARD.preprocessing(read_planes(sample)) for sample in samples])
    one_by_one, _ = Session(exported, Device("cpu"), batch_size=1).run(images)
    for batch_size, fixed_shape in ((5, False), (4, True), (8, True)):
        opened = Session(exported, Device("cpu"), batch_size=batch_size, fixed_shape=fixed_shape)
        np.testing.assert_allclose(opened.run(images)[0], one_by_one, rtol=0, atol=1e-6)


# --- a small network, where the real ones would only take longer ----------------------------------------------------


def test_residual_scales_are_in_the_weights_and_answers_stay(small_run: Path, tmp_path: Path) -> None:
    export_onnx(small_run, tmp_path / "out.onnx", count=3)
    network = keras.saving.load_model(small_run / "network.keras")
    scaled = next(layer for layer in network.layers if layer.name == SCALED)
    graph = onnx.load(tmp_path / "out.onnx").graph
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kernel = np.transpose(scaled.kernel.numpy(), (3, 2, 0, 1)) * np.float32(SCALE)
    assert any(found.shape == kernel.shape and np.allclose(found, kernel) for found in weights.values())
    assert [node.op_type for node in graph.node].count("Mul") == 1
    assert {node.name for node in graph.node} >= {"Conv_1", "Conv_2", "Conv_3", "Flatten_1", "MatMul_2"}


def test_the_same_run_gives_the_same_bytes_but_for_the_date(small_run: Path, tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        export_onnx(small_run, tmp_path / f"{name}.onnx", count=2)
        files.append(onnx.load(tmp_path / f"{name}.onnx"))
    dates = [json.loads(file.metadata_props[0].value)["created"] for file in files]
    for file in files:
        del file.metadata_props[:]
    assert files[0].SerializeToString() == files[1].SerializeToString()
    texts = [parity_file(tmp_path / f"{name}.onnx").read_text(encoding="utf-8") for name in ("one", "two")]
    assert texts[0] == texts[1]
    assert all(dates)


def test_the_report_next_to_the_file_lists_every_field(small_run: Path, simulated: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    arguments = ["onnx", str(small_run), "-o", str(out), "--count", "5"]
    arguments += ["--samples", str(simulated), "--samples", str(simulated / "train.csv")]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "on 10 fields, 100.00% same label sets" in result.stderr
    report = json.loads((tmp_path / "out.parity.json").read_text(encoding="utf-8"))
    card = read_card(read_onnx(out))
    assert card.parity is not None
    assert report["weights_sha256"] == card.weights_sha256
    assert report["summary"]["max_difference"] == card.parity.max_difference
    assert max(field["max_difference"] for field in report["fields"]) == card.parity.max_difference
    ids = [sample.id for sample in islice(find_samples(simulated / "train.csv"), 5)]
    assert [field["id"] for field in report["fields"]] == ids * 2
    assert {field["data"] for field in report["fields"]} == {simulated.name, "train.csv"}


def test_a_file_that_takes_raw_planes_answers_alike(small_run: Path, simulated: Path, tmp_path: Path) -> None:
    for name, more in (("host", []), ("graph", ["--raw-planes"])):
        arguments = ["onnx", str(small_run), "-o", str(tmp_path / f"{name}.onnx"), "--count", "4", *more]
        assert CliRunner().invoke(main, arguments, catch_exceptions=False).exit_code == 0
    card = read_card(read_onnx(tmp_path / "graph.onnx"))
    assert card.preprocessing.place == "graph"
    host, graph = (
        Predictor.load(tmp_path / f"{name}.onnx", device="cpu").predict(islice(find_samples(simulated), 8))
        for name in ("host", "graph")
    )
    for one, other in zip(host, graph, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=0, atol=1e-4)


def test_a_fit_on_the_atlas_s_own_pictures_is_compared_on_them(tmp_path: Path) -> None:
    targets = {"1_a_1": "Nucleoplasm;Cytosol", "2_b_2": "Rods & rings", "3_c_3": "23 0"}
    published = write_published(tmp_path / "atlas-ä", targets)
    export_onnx(write_small_run(tmp_path / "run", published), tmp_path / "out.onnx", count=3)
    report = json.loads((tmp_path / "out.parity.json").read_text(encoding="utf-8"))
    assert [field["id"] for field in report["fields"]] == list(targets)
    fields = read_fields(published, CARD, least=3)
    assert fields.targets is not None
    found = {sample.id: set(np.flatnonzero(row)) for sample, row in zip(fields.samples, fields.targets, strict=True)}
    assert found == {"1_a_1": {0, 25}, "2_b_2": {27}, "3_c_3": {0, 23}}


@pytest.mark.parametrize("changed", [1e-3, np.nan])
def test_a_network_that_answers_otherwise_leaves_no_file(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: float
) -> None:
    def convert_badly(*arguments: object, **options: object) -> onnx.ModelProto:
        model = convert(*arguments, **options)  # type: ignore[arg-type]
        bias = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [28])
        moved = onnx.numpy_helper.to_array(bias) + np.float32(changed)
        bias.CopyFrom(onnx.numpy_helper.from_array(moved, bias.name))
        return model

    monkeypatch.setattr(export_module, "convert", convert_badly)
    with pytest.raises(ParityError, match="Nothing was written"):
        export_onnx(small_run, tmp_path / "out.onnx", count=4)
    assert not list(tmp_path.iterdir())


def test_what_can_t_be_exported_is_reported_and_leaves_no_file(small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        export_onnx(small_run, tmp_path / "gone" / "out.onnx")
    with pytest.raises(TableError, match="needs 100"):
        export_onnx(small_run, tmp_path / "out.onnx", count=100)
    for opset in (3, 99):
        with pytest.raises(ConversionError, match=f"opset {opset}"):
            export_onnx(small_run, tmp_path / "out.onnx", count=1, opset=opset)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["network.keras", "card.json", "run.json"])
def test_an_unfinished_run_is_refused(small_run: Path, tmp_path: Path, missing: str) -> None:
    for file in small_run.iterdir():
        if file.name != missing:
            shutil.copyfile(file, tmp_path / file.name)
    result = CliRunner().invoke(main, ["onnx", str(tmp_path), "-o", str(tmp_path / "out.onnx")])
    assert result.exit_code == 2
    assert f"the run holds no {missing}" in result.stderr
    assert not (tmp_path / "out.onnx").exists()


def test_a_network_with_another_head_is_refused(small_run: Path, tmp_path: Path) -> None:
    image = keras.Input((299, 299, 3))
    x = keras.layers.GlobalAveragePooling2D()(image)
    keras.Model(image, keras.layers.Dense(28, name="probabilities")(x)).save(tmp_path / "network.keras")
    for name in ("card.json", "run.json"):
        (tmp_path / name).write_bytes((small_run / name).read_bytes())
    with pytest.raises(RunFolderError, match="Let it end in layers"):
        read_fitted(tmp_path)


def test_logits_are_not_exported_as_probabilities(small_run: Path, tmp_path: Path) -> None:
    shutil.copytree(small_run, tmp_path / "run")
    network = keras.saving.load_model(small_run / "network.keras")
    network.get_layer("probabilities").activation = keras.activations.linear
    network.save(tmp_path / "run/network.keras")
    with pytest.raises(ParityError, match="Give its layer 'probabilities' a sigmoid"):
        export_onnx(tmp_path / "run", tmp_path / "out.onnx", count=2)
    keras.Model(network.input, keras.layers.Activation("sigmoid")(network.output)).save(tmp_path / "run/network.keras")
    with pytest.raises(RunFolderError, match="has layers after its layer 'probabilities'"):
        export_onnx(tmp_path / "run", tmp_path / "out.onnx", count=2)
    assert not list(tmp_path.glob("out*"))


def predict_to_rows(model: Path, *fields: Path, out: Path) -> dict[str, dict[str, float]]:
    """Run ``hpa predict`` and return the probabilities of each field by id; every field must have an answer."""
    arguments = ["predict", str(model), *map(str, fields), "-o", str(out), "--device", "cpu"]
    assert CliRunner().invoke(hpa, arguments, catch_exceptions=False).exit_code == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert not any("error" in row for row in rows)
    return {row["id"]: row["probabilities"] for row in rows}


def test_every_real_field_is_answered(model: Path, real_data: Path, tmp_path: Path) -> None:
    # Reading is what real fields try; the small model has the same contract and takes far less time.
    assert len(predict_to_rows(model, real_data / "real_cells", out=tmp_path / "out.jsonl")) == 283


@pytest.mark.parametrize("network_name", ["inception_resnet_v2"])
def test_real_fields_have_one_answer_in_any_batch(exported: Path, real_data: Path, tmp_path: Path) -> None:
    some = list(islice(find_samples(real_data / "real_cells"), 8))
    by_id = predict_to_rows(exported, *(sample.files[0] for sample in some), out=tmp_path / "out.jsonl")
    predictions = Predictor.load(exported, device="cpu", batch_size=4).predict(some)
    found = [[by_id[item.id][label.hpa_name] for label in Label] for item in predictions]
    np.testing.assert_allclose([item.probabilities for item in predictions], found, rtol=0, atol=1e-6)
