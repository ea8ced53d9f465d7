"""A file that changes while it is exported or judged ends the command; fields held out are no copies of others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest

from export import fields
from export.bioimageio import package as bioimageio
from export.fields import read_fields
from export.onnx.fitted_run import read_fitted
from export.triton import repository as triton
from export.variants import variant
from export.variants.agreement import answer
from hpa_sdk.errors import TableError
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.samples import Sample
from hpa_sdk.models.onnx_file import file_sha256, map_file
from tests.export.small_run import build_small_network, write_small_run
from tests.export.spread_network import write_fields, write_labels
from tests.export.variant_commands import export, make, variant_of, with_card
from tests.small import CARD, make_model

pytestmark = pytest.mark.slow

COMMANDS = ("fp16", "quantize", "winograd", "raw-planes")


# --- models ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("one_plan")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_parent_replaced_meanwhile_has_no_variant(
    parent: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def load_another(path: Path, **options: Any) -> onnx.ModelProto:
        # As an export to the same file would do it, between the reading of the card and that of the weights.
        if Path(path) == model and not (tmp_path / "replaced").exists():
            (tmp_path / "replaced").touch()
            with_card(parent, tmp_path / "again.onnx", thresholds=(0.25,) * 28).replace(model)
        return load(path, **options)

    load = onnx.load
    model = with_card(parent, tmp_path / "model.onnx")
    monkeypatch.setattr(onnx, "load", load_another)
    result = export(command, model, folder, "-o", tmp_path / "out.onnx")
    assert result.exit_code == 2
    assert "the file was changed while it was read" in result.stderr
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("command", ["bioimageio", "triton"])
def test_a_model_replaced_meanwhile_is_not_packed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def replace_first(path: Path) -> memoryview:
        make_model(tmp_path / "again.onnx", thresholds=(0.25,) * 28).replace(model)
        return map_file(path)

    module = {"bioimageio": bioimageio, "triton": triton}[command]
    model = make_model(tmp_path / "model.onnx")
    monkeypatch.setattr(module, "map_file", replace_first)
    out = tmp_path / "out.zip"
    result = export(command, model, *([folder] if command == "bioimageio" else []), "-o", out)
    assert result.exit_code == 2
    assert "the file was changed while it was read" in result.stderr
    assert not out.exists()


def test_the_network_of_another_fit_is_not_exported(simulated: Path, tmp_path: Path) -> None:
    run = write_small_run(tmp_path / "run", simulated)
    record = json.loads((run / "run.json").read_bytes())
    record["network_sha256"] = file_sha256(run / "network.keras")
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    read_fitted(run)
    keras.Model.save(build_small_network(), run / "network.keras")
    with (run / "network.keras").open("ab") as file:
        file.write(b"\0")
    result = export("onnx", run, "-o", tmp_path / "out.onnx")
    assert result.exit_code == 2
    assert "another network than the fit left here" in result.stderr


def test_the_card_of_another_fit_is_not_exported(simulated: Path, tmp_path: Path) -> None:
    run = write_small_run(tmp_path / "run", simulated)
    record = json.loads((run / "run.json").read_bytes())
    record["card_sha256"] = file_sha256(run / "card.json")
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    read_fitted(run)
    (run / "card.json").write_text(replace(CARD, thresholds=(0.9,) * 28).to_json(), encoding="utf-8")
    result = export("onnx", run, "-o", tmp_path / "out.onnx")
    assert result.exit_code == 2
    assert "another card than the fit left here" in result.stderr


# --- fields ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("one_plan")
def test_copies_of_fields_calibrated_on_do_not_judge(parent: Path, folder: Path, tmp_path: Path) -> None:
    model = with_card(parent, tmp_path / "parent.onnx")
    held_out = Path(shutil.copytree(folder, tmp_path / "copy"))
    for file in sorted(held_out.glob("*.png")):
        file.rename(file.with_name(f"renamed-{file.name}"))
    (held_out / "train.csv").unlink()
    made = variant_of(make("quantize", model, folder, "--held-out", held_out, "--force"))
    assert (made.settings["calibrated"], made.fields) == ("on 32 fields of felder-ä", 32)


def test_a_table_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_fields(tmp_path / "fields", 4)
    write_labels(data, np.eye(28, dtype=bool)[:4])

    def reverse_rows_after(path: Path) -> Iterator[Sample]:
        found = list(find_samples(path))
        header, *rows = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join([header, *reversed(rows)]) + "\n", encoding="utf-8")
        return iter(found)

    monkeypatch.setattr(fields, "find_samples", reverse_rows_after)
    with pytest.raises(TableError, match="changed while it was read"):
        read_fields(data, CARD, least=1)


def test_fields_of_another_table_are_named_after_it(tmp_path: Path) -> None:
    data = write_fields(tmp_path / "fields", 4)
    write_labels(data, np.eye(28, dtype=bool)[:4])
    shutil.copyfile(data / "train.csv", data / "val.csv")
    names = [read_fields(path, CARD, least=1).name for path in (data, data / "train.csv", data / "val.csv")]
    assert names == ["fields", "fields", "fields/val.csv"]


def test_planes_that_change_between_two_models_are_refused(
    parent: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(shutil.copytree(folder, tmp_path / "data"))

    def change_first(*arguments: Any) -> Any:
        (data / "field-003_green.png").write_bytes((data / "field-004_green.png").read_bytes())
        return answer(*arguments)

    monkeypatch.setattr(variant, "answer", change_first)
    result = export("fp16", with_card(parent, tmp_path / "parent.onnx"), data, "-o", tmp_path / "out.onnx", "--force")
    assert result.exit_code == 2
    assert "field-003_green.png: the file was changed" in result.stderr
    assert not (tmp_path / "out.onnx").exists()
