"""A lab with a catalogue of its own, a server that gives the model in it, and a folder for what is fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomli_w
from click.testing import CliRunner, Result

from hpa_sdk.cli import main
from hpa_sdk.models import downloads
from hpa_sdk.models.catalogue import find_model
from hpa_sdk.models.model_store import ModelStore
from tests.training.plane_server import Site, serve

FILE = "/small.onnx"


@dataclass
class Lab:
    """What the tests of named models share."""

    site: Site
    catalogue: Path
    store: Path
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def file(self) -> Path:
        return self.store / "small" / "small.onnx"

    def list(self, name: str = "small", /, **changes: object) -> None:
        """Write the catalogue with one model."""
        self.catalogue.write_text(tomli_w.dumps(self.table(name, **changes)), encoding="utf-8")

    def table(self, name: str = "small", /, **changes: object) -> dict[str, object]:
        entry = {
            "title": "A small network",
            "unit": "field",
            "scheme": "hpa-2018",
            "licence": "CC0-1.0",
            "citation": "nobody",
            "version": "3",
            "address": self.site.url + FILE,
        }
        return {"form": 1, "models": {name: {**entry, **changes}}}

    def get(self) -> Path:
        store = ModelStore()
        return store.get("small", find_model("small", store).entry)

    def run(self, *arguments: object) -> Result:
        return CliRunner().invoke(main, ["models", *map(str, arguments)])


@pytest.fixture
def lab(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab whose catalogue has one model, which nobody has fetched yet."""
    content = model.read_bytes()
    catalogue, store = tmp_path / "カタログ.toml", tmp_path / "モデル"
    monkeypatch.setenv("HPA_CATALOGUE", str(catalogue))
    monkeypatch.setenv("HPA_MODELS", str(store))
    monkeypatch.setattr(downloads, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(downloads, "_CHUNK", 500)

    def give(path: str) -> bytes:
        return content if path == FILE else catalogue.read_bytes()

    with serve(give) as site:
        lab = Lab(site, catalogue, store, content)
        lab.list()
        yield lab
