"""The last layer is found and replaced in every form of file, and left alone where it is not linear."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.half import convert_to_fp16, export_fp16
from hpa_sdk import Predictor
from hpa_sdk.adapt.adapt import adapt
from hpa_sdk.adapt.last_layer import LastLayerError, find_last_layer
from hpa_sdk.models.model_card import METADATA_KEY, ModelCard
from hpa_sdk.models.network_form import Tensors
from tests.hpa_sdk.adapt.reviewed_fields import write_reviewed
from tests.raw_model import make_raw_model
from tests.small import CARD, build_model
from tests.stand_ins import OWN_SCHEME, Interface, card_of, write_stand_in

LOGITS = Interface(scheme=OWN_SCHEME, side=32, width=48, logits=True)


@pytest.fixture(scope="module", params=["fp16", "raw planes", "logits, NCHW, batch of one"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelCard | None]:
    """A model file, and the card that it does not carry."""
    path = tmp_path_factory.mktemp("model") / "parent.onnx"
    if request.param == "raw planes":
        return make_raw_model(path), None
    if request.param == "fp16":
        model = convert_to_fp16(build_model())
        onnx.helper.set_model_props(model, {METADATA_KEY: replace(CARD, precision="fp16").to_json()})
        onnx.save(model, path)
        return path, None
    return write_stand_in(path, LOGITS), card_of(LOGITS)


def test_every_form_of_file_is_adapted(case: tuple[Path, ModelCard | None], tmp_path: Path) -> None:
    model, card = case
    reviewed = write_reviewed(tmp_path / "lab", count=50, none=0)
    out = tmp_path / "own.onnx"
    written = adapt(model, reviewed, out, card=card, device="cpu", force=True)
    assert not written.not_refitted
    adapted = onnx.load(out)
    layer = find_last_layer(adapted, written.card.tensors)
    before = find_last_layer(onnx.load(model), written.card.tensors)
    assert not np.array_equal(layer.weights, before.weights)
    assert [one.data_type for one in adapted.graph.initializer if one.name == "last"] == [
        one.data_type for one in onnx.load(model).graph.initializer if one.name == "last"
    ]
    tolerance = 1e-2 if written.card.precision == "fp16" else 1e-5
    for one in Predictor.load(out, device="cpu", verify=True).predict(reviewed / "train.csv")[:5]:
        logits = one.embedding.astype(np.float64) @ layer.weights + layer.bias
        np.testing.assert_allclose(one.probabilities, 1 / (1 + np.exp(-logits)), atol=tolerance)


def test_without_embedding_thresholds_are_adapted(tmp_path: Path) -> None:
    reviewed = write_reviewed(tmp_path / "lab", count=40, none=0)
    interface = replace(LOGITS, embedding=None)
    model = write_stand_in(tmp_path / "parent.onnx", interface)
    done = adapt(model, reviewed, tmp_path / "own.onnx", card=card_of(interface), device="cpu", force=True)
    assert "gives no embedding" in done.not_refitted
    before, after = onnx.load(model).graph, onnx.load(tmp_path / "own.onnx").graph
    assert before.SerializeToString(deterministic=True) == after.SerializeToString(deterministic=True)
    assert done.card.thresholds != (0.5, 0.5, 0.5)


def test_a_softmax_is_no_linear_layer() -> None:
    model = build_model()
    model.graph.node[-1].op_type = "Softmax"
    with pytest.raises(LastLayerError, match="sigmoids"):
        find_last_layer(model, Tensors())


def test_scores_beside_the_embedding_are_refused() -> None:
    model = build_model()
    model.graph.node[-2].input[0] = "product"
    with pytest.raises(LastLayerError, match="from its embedding alone"):
        find_last_layer(model, Tensors())


def test_variants_are_made_of_an_adapted_file(adapted: Path, others: Path, tmp_path: Path) -> None:
    card = export_fp16(adapted, others, tmp_path / "half.onnx", force=True)
    assert card.adaptation == Predictor.load(adapted, device="cpu").card.adaptation
    assert card.variant is not None
    assert card.variant.max_difference < 0.02


def test_stacked_adaptations_name_their_parent(adapted: Path, tmp_path: Path) -> None:
    folder = write_reviewed(tmp_path / "more", seed=4, last=3)
    card = adapt(adapted, folder, tmp_path / "twice.onnx", device="cpu", name="twice").card
    assert card.name == "twice"
    assert card.adaptation is not None
    assert card.adaptation.parent == "small adapted"
