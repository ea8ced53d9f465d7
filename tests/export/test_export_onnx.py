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

from export import export_onnx as export_module
from export.__main__ import main
from export.errors import ParityError, RunFolderError
from export.export_onnx import export_onnx
from export.fitted import read_fitted
from export.parity import LARGEST_DIFFERENCE, measure_parity, read_images
from hpa_sdk import Label, Predictor, find_samples
from hpa_sdk.cli import main as hpa
from hpa_sdk.contract import check_contract, read_card
from hpa_sdk.devices import Device
from hpa_sdk.errors import OutputError, TableError
from hpa_sdk.onnx_file import graph_sha256, read_onnx
from hpa_sdk.session import Session
from tests.small import CARD


def test_the_file_keeps_the_contract(exported: Path) -> None:
    file = read_onnx(exported)
    card = read_card(file)
    check_contract(file, card)
    assert file.opset == 18
    assert {name: str(form) for name, form in file.inputs.items()} == {"image": "float32 (N, 299, 299, 3)"}
    assert list(file.outputs) == ["probabilities", "embedding"]
    assert {form.shape[0] for form in (*file.inputs.values(), *file.outputs.values())} == {"N"}
    onnx.checker.check_model(exported, full_check=True)


def test_the_card_says_where_the_file_comes_from(exported: Path, run: Path) -> None:
    card = read_card(read_onnx(exported))
    of_the_run = read_fitted(run).card
    assert card.training == of_the_run.training
    assert card.metrics == of_the_run.metrics
    assert card.weights_sha256 == graph_sha256(exported.read_bytes())
    assert card.parity is not None
    assert card.parity.samples == 64
    assert card.parity.max_difference <= LARGEST_DIFFERENCE
    assert card.parity.same_label_sets == 1


def test_answers_are_keras_own(exported: Path, run: Path, simulated: Path) -> None:
    network = keras.saving.load_model(run / "network.keras")
    predictor = Predictor.load(exported, device="cpu")
    images = read_images(simulated, predictor.card, 8)
    expected = network.predict(images, verbose=0)
    predictions = predictor.predict(islice(find_samples(simulated / "train.csv"), 8))
    np.testing.assert_allclose([item.probabilities for item in predictions], expected, rtol=0, atol=1e-5)
    assert [set(map(int, item)) for item in predictions] == [
        set(np.flatnonzero(row >= np.float32(0.2)).tolist()) for row in expected
    ]
    last = network.get_layer("probabilities")
    logits = np.stack([item.embedding for item in predictions]) @ last.kernel.numpy() + last.bias.numpy()
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), expected, rtol=0, atol=1e-5)


def test_batches_and_padding_do_not_change_answers(exported: Path, simulated: Path) -> None:
    images = read_images(simulated, CARD, 5)
    one_by_one, _ = Session(exported, Device("cpu"), batch_size=1).run(images)
    for batch_size, fixed_shape in ((5, False), (4, True), (8, True)):
        opened = Session(exported, Device("cpu"), batch_size=batch_size, fixed_shape=fixed_shape)
        np.testing.assert_allclose(opened.run(images)[0], one_by_one, rtol=0, atol=1e-6)


@pytest.mark.parametrize("network_name", ["vgg16"])
class TestOneNetwork:
    """What does not depend on the network."""

    def test_a_network_that_answers_otherwise_leaves_no_file(
        self, run: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = onnx.load(exported)
        bias = next(tensor for tensor in other.graph.initializer if list(tensor.dims) == [28])
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(1e-4), bias.name))
        monkeypatch.setattr(export_module, "convert", lambda *_: other)
        with pytest.raises(ParityError, match="Nothing was written"):
            export_onnx(run, tmp_path / "out.onnx", count=4)
        assert not list(tmp_path.iterdir())

    def test_parity_fails_where_answers_are_no_numbers(self, run: Path, exported: Path, simulated: Path) -> None:
        fitted = read_fitted(run)
        images = read_images(simulated, fitted.card, 4)
        model = exported.read_bytes()
        assert measure_parity(fitted.network, model, images, fitted.card).samples == 4
        with pytest.raises(ParityError):
            measure_parity(fitted.network, model, images * np.float32("nan"), fitted.card)

    def test_a_target_that_can_t_be_written_and_too_few_samples_are_told(self, run: Path, tmp_path: Path) -> None:
        with pytest.raises(OutputError):
            export_onnx(run, tmp_path / "gone" / "out.onnx")
        with pytest.raises(TableError, match="needs 100"):
            export_onnx(run, tmp_path / "out.onnx", count=100)

    @pytest.mark.parametrize("missing", ["network.keras", "card.json", "run.json"])
    def test_an_unfinished_run_is_refused(self, run: Path, tmp_path: Path, missing: str) -> None:
        for file in run.iterdir():
            if file.name != missing:
                shutil.copyfile(file, tmp_path / file.name)
        result = CliRunner().invoke(main, ["onnx", str(tmp_path), "-o", str(tmp_path / "out.onnx")])
        assert result.exit_code == 2
        assert f"the run holds no {missing}" in result.stderr
        assert not (tmp_path / "out.onnx").exists()

    def test_a_network_with_another_head_is_refused(self, run: Path, tmp_path: Path) -> None:
        image = keras.Input((299, 299, 3))
        x = keras.layers.GlobalAveragePooling2D()(image)
        keras.Model(image, keras.layers.Dense(28, name="probabilities")(x)).save(tmp_path / "network.keras")
        for name in ("card.json", "run.json"):
            (tmp_path / name).write_bytes((run / name).read_bytes())
        with pytest.raises(RunFolderError, match="Only networks made by"):
            read_fitted(tmp_path)


@pytest.mark.parametrize("network_name", ["inception_resnet_v2"])
def test_every_real_field_is_answered(exported: Path, real_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    arguments = ["predict", str(exported), str(real_data / "real_cells"), "-o", str(out), "--device", "cpu"]
    assert CliRunner().invoke(hpa, arguments, catch_exceptions=False).exit_code == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 283
    assert not any("error" in row for row in rows)
    predictions = Predictor.load(exported, device="cpu", batch_size=4).predict(real_data / "real_cells")
    assert [item.id for item in predictions] == [row["id"] for row in rows]
    by_id = {row["id"]: row["probabilities"] for row in rows}
    found = [[by_id[item.id][label.hpa_name] for label in Label] for item in predictions]
    np.testing.assert_allclose([item.probabilities for item in predictions], found, rtol=0, atol=1e-6)
