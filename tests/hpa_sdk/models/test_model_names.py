"""A name stands wherever a model file goes, and a file always wins over a name."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from hpa_sdk import Predictor, Sample
from hpa_sdk.cli import main
from hpa_sdk.errors import CatalogueError, DownloadError, ModelFileError
from hpa_sdk.models.model_names import resolve_model
from hpa_sdk.workstation import load_predictor, read_station
from tests.hpa_sdk.models.conftest import FILE, Lab
from tests.training.plane_server import status


def test_a_name_is_fetched_and_predicts_as_its_file(lab: Lab, model: Path, fields: list[Sample]) -> None:
    with Predictor.load("small", device="cpu") as named, Predictor.load(model, device="cpu") as plain:
        for one, other in zip(named.predict(fields), plain.predict(fields), strict=True):
            assert (one.probabilities == other.probabilities).all()
        assert named.model.path == lab.file
        assert named.model.sha256 == lab.sha256


def test_an_existing_path_wins(lab: Lab, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small").write_bytes(model.read_bytes())
    assert resolve_model("small").path == Path("small")
    assert not lab.site.requests


def test_an_unknown_name_is_neither_a_file_nor_a_model(lab: Lab) -> None:
    with pytest.raises(ModelFileError, match="no such file, and no model has this name") as caught:
        Predictor.load("smol")
    assert "Did you mean small?" in str(caught.value)
    assert not lab.store.exists()


@pytest.mark.parametrize("text", ["smol.onnx", "folder/smol", "./smol", "C:smol"])
def test_a_missing_path_stays_a_missing_file(lab: Lab, text: str) -> None:
    with pytest.raises(ModelFileError, match=r"no such file\. Check the path"):
        Predictor.load(text)
    assert not lab.site.requests


def test_a_file_that_was_changed_is_refused(lab: Lab) -> None:
    Predictor.load("small", device="cpu").close()
    changed = bytearray(lab.content)
    changed[-1] ^= 1  # in the card, so that nothing else would notice
    lab.file.write_bytes(changed)
    for model in ("small", lab.file, lab.file.parent):
        with pytest.raises(ModelFileError, match="was changed after it was fetched: it has the SHA-256"):
            Predictor.load(model, device="cpu")
    lab.file.write_bytes(changed + b"x")
    with pytest.raises(ModelFileError, match=f"was changed after it was fetched: it has {len(changed) + 1:,} bytes"):
        resolve_model("small")


def test_another_checksum_in_the_catalogue_is_refused(lab: Lab) -> None:
    lab.get()
    lab.list(sha256="0" * 64)
    with pytest.raises(DownloadError, match="the catalogue states the SHA-256 0000") as caught:
        resolve_model("small")
    assert "remove --forget small" in str(caught.value)


def test_another_version_in_the_catalogue_is_said(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    lab.get()
    lab.list(version="4")
    with caplog.at_level(logging.WARNING):
        assert resolve_model("small").path == lab.file
    assert "version 3 is used, and the catalogue has 4" in caplog.text


@pytest.mark.parametrize("catalogue", ["http://127.0.0.1:9/catalogue.toml", "missing.toml"])
def test_a_lost_catalogue_is_no_error_when_the_file_is_here(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, catalogue: str
) -> None:
    monkeypatch.setenv("HPA_CATALOGUE", catalogue)
    with pytest.raises(CatalogueError):
        resolve_model("small")
    monkeypatch.setenv("HPA_CATALOGUE", str(lab.catalogue))
    lab.get()
    monkeypatch.setenv("HPA_CATALOGUE", catalogue)
    assert resolve_model("small").path == lab.file


def test_a_damaged_entry_is_named(lab: Lab) -> None:
    lab.get()
    (lab.file.parent / "catalogue.toml").write_text("form = 1\n", encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"does not describe one fetched model\. Remove"):
        resolve_model("small")


def test_a_lab_s_catalogue_beside_its_files_describes_none_of_them(lab: Lab, tmp_path: Path, model: Path) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    (folder / "small.onnx").write_bytes(model.read_bytes())
    (folder / "catalogue.toml").write_bytes(lab.catalogue.read_bytes())
    assert resolve_model(folder / "small.onnx").entry is None


def test_provenance_names_model_version_and_checksum(lab: Lab, fields: list[Sample], tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    arguments = ["predict", "small", str(fields[0].files[0].parent), "-o", str(output), "--device", "cpu"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    model = json.loads((tmp_path / "out.csv.provenance.json").read_text(encoding="utf-8"))["model"]
    assert model["sha256"] == lab.sha256
    assert model["catalogue"] == {
        "name": "small",
        "version": "3",
        "address": lab.site.url + FILE,
        "licence": "CC0-1.0",
        "sha256_from": "first download",
    }


def test_a_model_of_no_catalogue_has_no_origin(model: Path, fields: list[Sample], tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    folder = str(fields[0].files[0].parent)
    assert CliRunner().invoke(main, ["predict", str(model), folder, "-o", str(output)]).exit_code == 0
    written = json.loads((tmp_path / "out.csv.provenance.json").read_text(encoding="utf-8"))
    assert written["model"]["catalogue"] == {}


def test_a_station_file_may_name_a_model(lab: Lab, tmp_path: Path) -> None:
    station = tmp_path / "station.toml"
    station.write_text("model = 'small'\nwatch = '.'\noutput = '.'\n[files]\npattern = 'hpa'\n", encoding="utf-8")
    with load_predictor(read_station(station)) as predictor:
        assert predictor.model.path == lab.file


@pytest.mark.parametrize("arguments", [["inspect", "small"], ["inspect", "--json", "small"]])
def test_commands_that_only_read_the_file_take_names(lab: Lab, arguments: list[str]) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert str(lab.file) in done.stdout


def test_a_command_whose_model_can_t_be_fetched_is_one_line(lab: Lab) -> None:
    lab.site.answers[FILE] = [status(404)]
    done = CliRunner().invoke(main, ["inspect", "small"])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {lab.site.url}{FILE}: the server answers 404")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["predict"], ["models", "get"], ["serve"], ["models", "get", "small"]])
def test_shells_complete_names(lab: Lab, arguments: list[str]) -> None:
    completion = ShellComplete(main, {}, "hpa", "_HPA_COMPLETE")
    assert "polite-pig" in [item.value for item in completion.get_completions(arguments, "pol")]
    lab.catalogue.write_text("broken", encoding="utf-8")
    assert "polite-pig" not in [item.value for item in completion.get_completions(arguments, "pol")]


def test_nothing_that_fetches_is_imported_without_need(model: Path) -> None:
    code = f"import sys; from hpa_sdk import Predictor; Predictor.load({str(model)!r}, device='cpu')\n"
    code += "assert not {'requests', 'pooch', 'urllib3', 'tomli_w'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
