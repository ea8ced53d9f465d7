"""A catalogue names models; the lab's own wins, and what contradicts itself is refused."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from hpa_sdk.errors import CatalogueError, ModelFileError
from hpa_sdk.models.catalogue import BUILT_IN, find_model, known_models
from hpa_sdk.models.model_store import ModelStore
from tests.conftest import ROOT
from tests.hpa_sdk.models.conftest import Lab
from tests.training.plane_server import html

PUBLISHED = ["hpa-bestfitting-single-cell", "hpa-densenet121", "polite-pig", "straightforward-crocodile"]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModelStore:
    """An empty folder of models, and no catalogue of a lab."""
    monkeypatch.delenv("HPA_CATALOGUE", raising=False)
    return ModelStore(tmp_path / "models")


def test_published_models_are_described_completely(alone: ModelStore) -> None:
    known = known_models(alone)
    assert sorted(known) == sorted([*PUBLISHED, "starter"])
    for name in PUBLISHED:
        entry, catalogue = known[name]
        assert catalogue == BUILT_IN
        assert entry.on_the_web
        assert entry.file_name.endswith(".onnx")
        assert "MIT" in entry.licence
        assert entry.card is not None
        assert entry.card["name"] == name
        assert (entry.card["scheme"], entry.card["unit"]) == (entry.scheme, entry.unit)


@pytest.mark.parametrize(
    ("asked", "nearest"), [("hpa-densenet", "hpa-densenet121"), ("HPA-DenseNet121", "hpa-densenet121"), ("pig", None)]
)
def test_an_unknown_name_shows_the_nearest(alone: ModelStore, asked: str, nearest: str | None) -> None:
    with pytest.raises(ModelFileError, match="no model has this name") as caught:
        find_model(asked, alone)
    assert ("Did you mean" in str(caught.value)) == (nearest is not None)
    assert nearest is None or f"Did you mean {nearest}" in str(caught.value)


def test_the_lab_s_entry_wins_with_one_line(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    lab.list("polite-pig")
    store = ModelStore()
    with caplog.at_level(logging.WARNING):
        assert find_model("polite-pig", store).entry.title == "A small network"
        assert find_model("polite-pig", store).catalogue == str(lab.catalogue)
    assert [record.message for record in caplog.records] == [
        f"polite-pig: the entry in {lab.catalogue} is used, not the one in {BUILT_IN}"
    ]


def test_several_catalogues_are_read_in_order(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = tmp_path / "second.toml"
    lab.list()
    second.write_bytes(lab.catalogue.read_bytes())
    lab.list("first", title="of the first")
    monkeypatch.setenv("HPA_CATALOGUE", os.pathsep.join([str(lab.catalogue), str(second)]))
    assert {"first", "small", "starter", *PUBLISHED} == set(known_models(ModelStore()))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("form = 1\n[models.a]\ntitle = 'x'\n[models.a]\ntitle = 'y'\n", "a model is listed twice"),
        ("form = 1\n[models.a]\ntitle = 'x'\n", "missing required field `unit`"),
        ("form = 2\n", "Invalid enum value 2"),
        ("[models\n", "can't be read"),
        ("", "missing required field `form`"),
    ],
)
def test_a_catalogue_that_can_t_be_used_is_named(lab: Lab, text: str, reason: str) -> None:
    lab.catalogue.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogueError, match=reason) as caught:
        known_models(ModelStore())
    assert caught.value.where == str(lab.catalogue)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sha256": "ABC"}, "sha256"),
        ({"size": 0}, "size"),
        ({"unit": "organ"}, "unit"),
        ({"adress": "x"}, "adress"),
        ({"address": "s3://bucket/small.onnx"}, "neither an address on the web"),
        ({"address": "https://server/download"}, "no name of an .onnx or .zip file"),
        ({"file": "../small.onnx"}, "no name of an .onnx or .zip file"),
        ({"file": "C:small.onnx"}, "no name of an .onnx or .zip file"),
    ],
)
def test_an_entry_that_can_t_be_used_is_named(lab: Lab, changes: dict[str, object], reason: str) -> None:
    lab.list(**changes)
    with pytest.raises(CatalogueError, match=reason):
        known_models(ModelStore())


@pytest.mark.parametrize("name", ["Small", "small.onnx", "..", "-small", "s" * 65])
def test_a_name_that_could_be_a_path_is_refused(lab: Lab, name: str) -> None:
    lab.list(name)
    with pytest.raises(CatalogueError, match="a name has up to 64 small letters"):
        known_models(ModelStore())


def test_a_catalogue_that_is_missing_is_named(lab: Lab) -> None:
    lab.catalogue.unlink()
    with pytest.raises(CatalogueError, match="HPA_CATALOGUE names can't be read"):
        known_models(ModelStore())


def test_a_catalogue_on_the_web_is_kept_for_times_without_one(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"{lab.site.url}/models/catalogue.toml"
    monkeypatch.setenv("HPA_CATALOGUE", address)
    lab.list(address="small.onnx")
    store = ModelStore()
    known = find_model("small", store)
    assert known.catalogue == address
    assert known.entry.address == f"{lab.site.url}/models/small.onnx"
    lab.list(title="Changed")
    assert find_model("small", store).entry.title == "A small network"
    assert find_model("small", store, fresh=True).entry.title == "Changed"
    # A login page of the network is no catalogue, and does not replace the copy.
    lab.site.answers["/models/catalogue.toml"] = [html]
    with pytest.raises(CatalogueError, match="can't be read"):
        find_model("small", store, fresh=True)
    assert find_model("small", store).entry.title == "Changed"
    lab.site.answers["/models/catalogue.toml"] = [lambda handler, _: handler.start(404, Content_Length=0)]
    assert find_model("small", store, fresh=True).entry.title == "Changed"


def test_a_catalogue_that_can_t_be_fetched_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPA_CATALOGUE", "http://127.0.0.1:9/catalogue.toml")
    with pytest.raises(CatalogueError, match="can't be fetched") as caught:
        known_models(ModelStore())
    assert not lab.store.exists()
    assert caught.value.where == "http://127.0.0.1:9/catalogue.toml"


def test_the_documented_example_is_a_catalogue(lab: Lab) -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    lab.catalogue.write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    entry = find_model("nuclei-2026", ModelStore()).entry
    assert entry.address == str(lab.catalogue.parent / "resnet-2026-03.onnx")
