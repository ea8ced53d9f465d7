"""A fit starts from an exported model file, keeps old data, and is compared with the file on both."""

import json
import shutil
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper
from sklearn.metrics import f1_score

from hpa_sdk import Predictor
from hpa_sdk.adapt.adapt import adapt
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.models.contract import read_model
from hpa_sdk.models.known_data import KnownData, field_hash
from hpa_sdk.models.model_card import METADATA_KEY, ModelCard
from hpa_sdk.models.network_form import CellCrop
from hpa_sdk.models.onnx_file import file_sha256
from hpa_sdk.models.variant import Variant
from tests.conftest import STARTER, run_command
from tests.starter import needs_starter
from training.__main__ import main
from training.data.dataset import read_dataset, read_datasets
from training.data.prepared import DecodedImages
from training.data.split import study_split
from training.errors import WeightsError
from training.exported_weights import read_parent, start_from_export
from training.fit.folded_statistics import unfold_statistics
from training.network_forms import LIGHT_PREPROCESSING
from training.networks import build_network
from training.simulation import simulate

pytestmark = [pytest.mark.slow, needs_starter]

NEW, OLD = 10, 15


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return build_network("light", weights=STARTER)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("fält")
    for seed, (name, count) in enumerate((("new", NEW), ("old", OLD))):
        simulate(folder / name, count=count, seed=seed, size=256, workers=1)
    return folder / "new", folder / "old"


def with_card(path: Path, **changes: object) -> Path:
    """Write the starter with another card, and without its checksum."""
    model = onnx.load(STARTER)
    card = replace(read_model(STARTER)[1], **changes)  # type: ignore[arg-type]
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=card.to_json())
    onnx.save(model, path)
    return path


def hashes_of(data: Path) -> bytes:
    """Return the hashes of fields, as the card of an adapted model has them."""
    dataset = read_dataset(data)
    return b"".join(field_hash(read_planes(sample), LIGHT_PREPROCESSING.channels) for sample in dataset.samples)


def test_the_network_answers_as_the_file(network: keras.Model, data: tuple[Path, Path]) -> None:
    dataset = read_dataset(data[0])
    images = DecodedImages(dataset.samples, preprocessing=LIGHT_PREPROCESSING)[np.arange(NEW)]
    with Predictor.load(STARTER, device="cpu", quality=False) as predictor:
        expected = np.stack([found.probabilities for found in predictor.predict(dataset.samples)])
    np.testing.assert_allclose(network.predict_on_batch(images), expected, atol=1e-4)


def test_a_file_with_another_last_layer_is_taken(network: keras.Model, tmp_path: Path) -> None:
    model = onnx.load(with_card(tmp_path / "own.onnx"))
    (kernel,) = (one for one in model.graph.initializer if one.name == "MatMul_2.weight")
    other = 2 * numpy_helper.to_array(kernel)
    kernel.CopyFrom(numpy_helper.from_array(other, kernel.name))
    onnx.save(model, tmp_path / "own.onnx")
    adapted = keras.models.clone_model(network)
    start_from_export(adapted, tmp_path / "own.onnx")
    np.testing.assert_array_equal(adapted.get_layer("probabilities").get_weights()[0], other)


def test_statistics_leave_the_answers_as_they_are(data: tuple[Path, Path]) -> None:
    network = build_network("light", weights=STARTER)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    dataset = read_dataset(data[0])
    images = DecodedImages(dataset.samples, preprocessing=LIGHT_PREPROCESSING)[np.arange(NEW)]
    expected = network.predict_on_batch(images)
    unfold_statistics(network, images)
    np.testing.assert_allclose(network.predict_on_batch(images), expected, atol=1e-5)
    # In training mode, over the same images, it is the same network too.
    np.testing.assert_allclose(network(images, training=True), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "fp16"}, "is a variant"),
        ({"architecture": "vgg16"}, "of the network vgg16, not light"),
        ({"preprocessing": replace(LIGHT_PREPROCESSING, scale=100.0)}, "takes other images than light"),
        ({"unit": "cell", "cell": CellCrop()}, "answers for single cells, and networks are fitted on whole fields"),
        ({"scheme": "own", "labels": tuple("abcdefghijklmnopqrstuvwxyzäö")}, "not those of hpa-2018"),
    ],
)
def test_an_unsuitable_file_is_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        read_parent(with_card(tmp_path / "own.onnx", **changes), "light")
    assert "python -m export onnx" in caught.value.remedy


def test_a_variant_is_refused(tmp_path: Path) -> None:
    variant = Variant(
        kind="winograd", parent_sha256="", settings={}, data="", fields=0, max_difference=0, mean_difference=0,
        same_label_sets=1, micro_f1=None, macro_f1=None, parent_micro_f1=None, parent_macro_f1=None,
    )  # fmt: skip
    with pytest.raises(WeightsError, match="Winograd"):
        read_parent(with_card(tmp_path / "fast.onnx", variant=variant), "light")


def test_a_graph_with_other_answers_is_refused(network: keras.Model, tmp_path: Path) -> None:
    model = onnx.load(with_card(tmp_path / "other.onnx"))
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type = "Tanh"
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(WeightsError, match=r"can't be turned into light \(with its weights the answers differ"):
        start_from_export(keras.models.clone_model(network), tmp_path / "other.onnx")


def test_a_graph_of_another_form_is_refused(network: keras.Model, tmp_path: Path) -> None:
    model = onnx.load(with_card(tmp_path / "other.onnx"))
    (kernel,) = (one for one in model.graph.initializer if one.name == "MatMul_1.weight")
    (dense,) = (node for node in model.graph.node if "MatMul_1.weight" in node.input)
    square = np.eye(kernel.dims[0], dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(square, "square"))
    at = list(model.graph.node).index(dense)
    more = onnx.helper.make_node("MatMul", [dense.input[0], "square"], ["same"])
    dense.input[0] = "same"
    model.graph.node.insert(at, more)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(WeightsError, match="linear layers, not"):
        start_from_export(keras.models.clone_model(network), tmp_path / "other.onnx")


SIZES = "--epochs 1 --steps 2 --batch-size 4 --validation-fields 8 --statistics-fields 8 --reference-fields 0"


@dataclass(frozen=True)
class FineTuned:
    """A run that was fitted from a file, the file, and what the models before the file know: the fields of `grand`."""

    run: Path
    weights: Path
    grand: Path
    earlier: KnownData


@pytest.fixture(scope="module")
def fine_tuned(data: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> FineTuned:
    new, old = data
    tmp_path = tmp_path_factory.mktemp("fine-tuned")
    run = tmp_path / "run"
    fitted_on_old = replace(read_model(STARTER)[1].training, data_fingerprint=read_dataset(old).fingerprint)
    grand = tmp_path / "grand"
    simulate(grand, count=6, seed=9, size=256, workers=1)
    earlier = KnownData(fits=(read_dataset(grand).fingerprint,), field_hashes=hashes_of(grand))
    weights = with_card(tmp_path / "starter.onnx", training=fitted_on_old, known_data=earlier)
    run_command(
        *("tests.eager_training", "fit", new, "--also", old, "--share", 0.4, "--network", "light", "--out", run),
        *("--recipe", "fine_tune", "--weights", weights, *SIZES.split()),
    )
    return FineTuned(run, weights, grand, earlier)


def test_a_fit_from_a_file_keeps_old_data_and_is_compared(data: tuple[Path, Path], fine_tuned: FineTuned) -> None:
    (new, old), run, weights = data, fine_tuned.run, fine_tuned.weights
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    parent = {"name": "starter", "sha256": file_sha256(weights)}
    assert (record["share"], record["sizes"]) == (0.4, [NEW, OLD])
    assert parent.items() <= record["parent"].items()
    card = ModelCard.from_json((run / "card.json").read_bytes())
    assert card.licence == read_model(STARTER)[1].licence
    assert card.training.initial_weights == f"starter, SHA-256 {parent['sha256']}"
    # A class without a validation field keeps the threshold of the file.
    dataset = read_datasets(data)
    rows = np.sort(np.concatenate([study_split(NEW)[1], study_split(OLD)[1] + NEW]))
    absent = ~dataset.targets[rows].any(axis=0)
    kept = np.asarray(read_model(STARTER)[1].thresholds)
    np.testing.assert_array_equal(np.asarray(card.thresholds)[absent], kept[absent])
    result = CliRunner().invoke(
        main,
        [*map(str, ("compare", STARTER, run, new, old, "--part", "validation", "--threshold", "card", "--json"))],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    assert "were tuned on this part" in result.stderr
    comparison = json.loads(result.stdout)["comparison"]
    assert [source["data"] for source in comparison["sources"]] == ["new", "old"]
    with Predictor.load(STARTER, device="cpu", quality=False) as predictor:
        expected = [found.probabilities >= kept for found in predictor.predict(dataset.pick(rows))]
    for source, of in zip(comparison["sources"], (rows < NEW, rows >= NEW), strict=True):
        assert source["fields"] == of.sum()
        truth = dataset.targets[rows][of]
        f1 = f1_score(truth, np.stack(expected)[of], average="micro", zero_division=0.0)
        assert source["networks"][0]["micro_f1"] == pytest.approx(f1)
        before, after = (found["micro_f1"] for found in source["networks"])
        difference = source["differences"][0]
        assert difference["difference"] == pytest.approx(after - before)
        assert all(one <= other for one, other in pairwise((difference["low"], after - before, difference["high"])))
    # What its parent knows, it knows too.
    judged = CliRunner().invoke(main, [*map(str, ("compare", STARTER, run, old))])
    assert f"{run} was fitted from starter, which was fitted on fields of old: the figures there are" in judged.stderr
    judged = CliRunner().invoke(main, [*map(str, ("compare", STARTER, run, new))])
    assert "fitted from starter" not in judged.stderr


def test_a_run_knows_what_the_models_before_it_know(
    data: tuple[Path, Path], fine_tuned: FineTuned, tmp_path: Path
) -> None:
    run, grand, earlier = fine_tuned.run, fine_tuned.grand, fine_tuned.earlier
    copies = Path(shutil.copytree(data[0].parent, tmp_path / "copies"))
    for name in ("new", "old"):
        (copies / name).rename(copies / f"{name}-copy")
    card = ModelCard.from_json((run / "card.json").read_bytes())
    own = tuple(read_dataset(source).fingerprint for source in data)
    known = KnownData(tables=own, fits=(own[1], *earlier.fits), field_hashes=earlier.field_hashes)
    assert card.known_data == known
    judged = CliRunner().invoke(main, [*map(str, ("compare", STARTER, run, grand))])
    assert "starter, which was made from a model that was fitted on fields of grand: the figures" in judged.stderr
    assert f"{run} was adapted to 6 of these 6 fields (starter, or a model before it)" in judged.stderr
    # Each table of the fit is known where its data has been moved, too.
    moved = Path(shutil.copytree(run, tmp_path / "moved"))
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    record["data"], record["also"] = [str(tmp_path / "gone")], [str(tmp_path / "away")]
    (moved / "run.json").write_text(json.dumps(record), encoding="utf-8")
    judged = CliRunner().invoke(main, [*map(str, ("compare", STARTER, moved, copies / "new-copy"))])
    assert f"{moved} was fitted on fields of new-copy: its figures there are too good" in judged.stderr
    # A fit from the network of a run knows what the run knows.
    again = tmp_path / "again"
    run_command(
        *("tests.eager_training", "fit", grand, "--network", "light", "--out", again, "--recipe", "fine_tune"),
        *("--weights", run / "network.keras", *SIZES.split()),
    )
    found = ModelCard.from_json((again / "card.json").read_bytes()).known_data
    assert found == replace(known, tables=(), fits=(card.training.data_fingerprint, *own, *known.fits[1:]))


def test_fields_of_an_adaptation_are_reported(
    data: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "own.onnx"
    adapt(STARTER, data[0], own, device="cpu", force=True)
    judged = CliRunner().invoke(main, [*map(str, ("compare", STARTER, own, data[0], "--threshold", "card"))])
    assert judged.exit_code == 0, judged.output
    assert f"{own} was adapted to {NEW} of these {NEW} fields" in judged.stderr
    copy = Path(shutil.copytree(data[0], tmp_path / "copy"))
    judged = CliRunner().invoke(main, [*map(str, ("compare", STARTER, own, copy, data[1]))])
    assert f"{own} was adapted to {NEW} of these {NEW + OLD} fields" in judged.stderr
    judged = CliRunner().invoke(main, [*map(str, ("compare", STARTER, own, data[1]))])
    assert "was adapted to" not in judged.stderr
    taken = tmp_path / "taken"
    taken.write_bytes(b"")
    plan = ("fit", data[1], "--also", data[0], "--network", "light", "--recipe", "fine_tune", "--weights", own)
    fitted = CliRunner().invoke(main, [*map(str, (*plan, "--out", taken))])
    assert (fitted.exit_code, "this is a file, not a folder" in fitted.stderr) == (2, True), fitted.output
    assert f"was adapted to {NEW} of these {NEW + OLD} fields: the figures of the validation" in caplog.text


def test_adapted_fields_are_known_by_the_planes_that_count(data: tuple[Path, Path], tmp_path: Path) -> None:
    parent, own = tmp_path / "three.onnx", tmp_path / "own.onnx"
    three = replace(
        LIGHT_PREPROCESSING,
        channels=("red", "green", "blue"),
        blend=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)),
    )
    with_card(parent, preprocessing=three)
    adapt(parent, data[0], own, device="cpu", force=True)
    judged = CliRunner().invoke(main, [*map(str, ("compare", parent, own, data[0], "--threshold", "card"))])
    assert judged.exit_code == 0, judged.output
    assert f"{own} was adapted to {NEW} of these {NEW} fields" in judged.stderr


def test_a_file_for_cells_is_not_compared_on_fields(data: tuple[Path, Path], tmp_path: Path) -> None:
    of_cells = with_card(tmp_path / "cells.onnx", unit="cell", cell=CellCrop())
    judged = CliRunner().invoke(main, [*map(str, ("compare", STARTER, of_cells, data[0]))])
    assert (judged.exit_code, "answers for single cells, and whole fields would" in judged.stderr) == (2, True)


def test_a_share_without_old_data_is_refused(data: tuple[Path, Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, ["fit", str(data[0]), "--network", "light", "--out", str(tmp_path / "run"), "--share", "0.3"]
    )
    assert result.exit_code == 2
    assert "which --also names" in result.stderr


def test_files_alone_have_no_validation_part(data: tuple[Path, Path]) -> None:
    result = CliRunner().invoke(main, [*map(str, ("compare", STARTER, STARTER, data[0], "--part", "validation"))])
    assert result.exit_code == 2
    assert "model files do not say which fields the validation part has" in result.stderr
