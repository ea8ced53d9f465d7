"""The catalogue describes published networks: stand-ins of their interfaces answer as the publishers' scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from hpa_sdk import Predictor, Sample
from hpa_sdk.cli import main
from hpa_sdk.errors import ModelCardError
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.models.catalogue import known_models
from hpa_sdk.models.model_store import ModelStore
from tests.hpa_sdk.models.conftest import FILE, Lab
from tests.stand_ins import SINGLE_CELL, WINNER, Interface, documented_answer, write_stand_in

INTERFACES = {
    "hpa-densenet121": WINNER,
    "polite-pig": WINNER,
    "hpa-bestfitting-single-cell": SINGLE_CELL,
    "straightforward-crocodile": SINGLE_CELL,
}


def serve_stand_in(lab: Lab, name: str, interface: Interface, folder: Path, **changes: object) -> Path:
    """Let the lab's catalogue have the published entry, with the address of a stand-in."""
    path = write_stand_in(folder / "stand-in.onnx", interface)
    entry: dict[str, Any] = msgspec.to_builtins(known_models(ModelStore())[name].entry)
    entry |= {"address": lab.site.url + FILE, "file": "stand-in.onnx", **changes}
    entry.pop("sha256", None)
    lab.site.content = lambda _: path.read_bytes()
    lab.list(name, **entry)
    return path


@pytest.mark.parametrize("name", INTERFACES)
def test_a_stand_in_answers_as_the_publisher_s_script(
    lab: Lab, fields: list[Sample], tmp_path: Path, name: str
) -> None:
    interface = INTERFACES[name]
    path = serve_stand_in(lab, name, interface, tmp_path)
    with Predictor.load(name, device="cpu") as predictor:
        assert predictor.card.scheme == interface.scheme.name
        for field, prediction in zip(fields, predictor.predict(fields), strict=True):
            expected, embedding = documented_answer(path, interface, read_planes(field))
            np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-6)
            assert embedding is not None
            np.testing.assert_allclose(prediction.embedding, embedding, atol=1e-6 * np.abs(embedding).max())


def test_every_command_has_the_card_of_the_catalogue(lab: Lab, fields: list[Sample], tmp_path: Path) -> None:
    serve_stand_in(lab, "hpa-densenet121", WINNER, tmp_path)
    shown = CliRunner().invoke(main, ["inspect", "--json", "hpa-densenet121"])
    assert json.loads(shown.stdout)["card"]["preprocessing"]["size"] == 1024
    output, page = tmp_path / "out.csv", tmp_path / "out.html"
    folder = str(fields[0].files[0].parent)
    assert CliRunner().invoke(main, ["predict", "hpa-densenet121", folder, "-o", str(output)]).exit_code == 0
    done = CliRunner().invoke(main, ["report", str(output), "-o", str(page), "--model", "hpa-densenet121"])
    assert done.exit_code == 0, done.output


def test_a_card_that_can_t_be_used_names_catalogue_and_key(lab: Lab, tmp_path: Path) -> None:
    serve_stand_in(lab, "hpa-densenet121", WINNER, tmp_path, card={"name": "x", "scheme": "hpa-2018"})
    with pytest.raises(ModelCardError, match="missing required field `thresholds`") as caught:
        Predictor.load("hpa-densenet121", device="cpu")
    assert "the catalogue's card of hpa-densenet121" in str(caught.value)
    assert not lab.site.requests[FILE]
