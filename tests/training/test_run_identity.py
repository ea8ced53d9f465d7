"""A run is judged, resumed and begun as what it is: by its own network, from its own weights, on its own planes."""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.reading import read_field
from hpa_sdk.fields.samples import FieldPlanes, Sample
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.onnx_file import file_sha256
from tests.small import CARD
from tests.training.small_fit import build_small_network
from tests.training.test_comparison import compare
from tests.training.test_evaluation import evaluate, make_network, make_run, say_fitted_on
from training.data.dataset import read_dataset
from training.data.prepared import DecodedImages
from training.data.split import study_split
from training.errors import RunError
from training.fit import fit as fit_module
from training.fit.fit import fit
from training.fit.recipe import read_recipe
from training.fit.run_folder import Plan, Run
from training.judge.fitted_run import read_run
from training.simulation import simulate

pytestmark = pytest.mark.slow

LATER = 1_900_000_000 * 10**9


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, which takes longer than all else."""
    for name in ("training.cli.evaluate._draw", "training.cli.evaluate._draw_fit"):
        monkeypatch.setattr(name, lambda *_: None)
    monkeypatch.setattr(fit_module, "draw_training_images", lambda *_: None)
    monkeypatch.setattr(fit_module, "draw_history", lambda *_: None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    simulate(folder, count=12, seed=1, size=64, workers=1)
    return folder


@pytest.fixture
def plan(data: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(fit_module, "build_network", build_small_network)
    recipe = read_recipe("study").adjusted("vgg16", epochs=1, steps_per_epoch=1, batch_size=2, validation_fields=2)
    return Plan(network="vgg16", recipe=recipe, data=(data,), weights="none")


# --- the network ----------------------------------------------------------------------------------------------------


def test_the_network_of_another_run_is_refused(plan: Plan, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(plan, run)
    record = json.loads((run / "run.json").read_bytes())
    assert record["network_sha256"] == file_sha256(run / "network.keras") == read_run(run).network_sha256
    make_network().save(run / "network.keras")
    result = evaluate(run, data)
    assert result.exit_code == 2
    assert "another network than the fit left here" in result.stderr
    del record["network_sha256"]
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert evaluate(run, data).exit_code == 0


def test_the_card_of_another_run_is_refused(plan: Plan, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(plan, run)
    record = json.loads((run / "run.json").read_bytes())
    assert record["card_sha256"] == file_sha256(run / "card.json")
    read_run(run)
    card = ModelCard.from_json((run / "card.json").read_bytes())
    (run / "card.json").write_text(replace(card, thresholds=(0.9,) * 28).to_json(), encoding="utf-8")
    result = evaluate(run, data)
    assert result.exit_code == 2
    assert "another card than the fit left here" in result.stderr
    assert "card.json" in result.stderr
    del record["card_sha256"]
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert read_run(run).card.thresholds == (0.9,) * 28


def test_a_network_written_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, other = make_run(tmp_path / "run", seed=1), make_run(tmp_path / "other", seed=2)
    load = keras.saving.load_model

    def replace_first(path: Path, **options: object) -> keras.Model:
        shutil.copyfile(other / "network.keras", path)
        return load(path, **options)

    monkeypatch.setattr(keras.saving, "load_model", replace_first)
    with pytest.raises(RunError, match="changed while it was read"):
        read_run(run)


# --- a fit ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["progress.json", "network.keras", "card.json"])
def test_a_folder_without_its_record_is_refused(plan: Plan, tmp_path: Path, left: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / left).write_text("{}", encoding="utf-8")
    for resume in (False, True):
        with pytest.raises(RunError, match=f"holds the {left} of another run"):
            fit(plan, run, resume=resume)
    assert [file.name for file in run.iterdir()] == [left]


def test_a_fit_does_not_resume_from_other_initial_weights(plan: Plan, tmp_path: Path) -> None:
    weights = tmp_path / "network.keras"
    weights.write_bytes(b"first")
    begun = replace(plan, weights=weights)
    Run(tmp_path / "run", begun, read_dataset(plan.data[0]).fingerprint, weights_sha256=file_sha256(weights))
    weights.write_bytes(b"other")
    with pytest.raises(RunError, match="another content of its initial weights"):
        fit(begun, tmp_path / "run", resume=True)
    weights.write_bytes(b"first")
    fit(begun, tmp_path / "run", resume=True)


def test_a_fit_resumes_only_with_its_share_of_old_data(plan: Plan, tmp_path: Path) -> None:
    begun = replace(plan, also=(tmp_path / "old",), share=0.3)
    fingerprint = read_dataset(plan.data[0]).fingerprint
    Run(tmp_path / "run", begun, fingerprint)
    Run(tmp_path / "run", begun, fingerprint, resume=True)
    for other, named in ((replace(begun, share=0.5), "share"), (replace(begun, also=()), "also")):
        with pytest.raises(RunError, match=rf"a run with another {named}\."):
            Run(tmp_path / "run", other, fingerprint, resume=True)


def test_a_fit_resumed_with_rewritten_planes_says_so(
    plan: Plan, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("run", "again"):
        with monkeypatch.context() as stopped, pytest.raises(KeyboardInterrupt):
            stopped.setattr(fit_module, "draw_training_images", stop)
            fit(plan, tmp_path / name)
    fit(plan, tmp_path / "run", resume=True)
    assert not [record for record in caplog.records if record.levelno == logging.WARNING and "planes" in record.message]
    os.utime(read_dataset(data).samples[3].files[1], ns=(LATER, LATER))
    fit(plan, tmp_path / "again", resume=True)
    assert f"{tmp_path / 'again'} was started on planes that have been written since" in caplog.text


# --- planes that are read again -------------------------------------------------------------------------------------


def test_a_plane_changed_since_it_was_decoded_is_refused(data: Path) -> None:
    dataset = read_dataset(data)
    images = DecodedImages(dataset.samples)
    images[np.arange(3)]
    images[np.arange(3)]
    changed = dataset.samples[1].files[2]
    changed.write_bytes(dataset.samples[0].files[2].read_bytes())
    images[np.array([0, 2])]
    with pytest.raises(PlaneError, match="changed since") as caught:
        images[np.arange(3)]
    assert caught.value.where == str(changed)


def test_two_networks_are_compared_on_the_same_planes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "other"))]
    first, second = read_dataset(data).samples[:2]
    reads: list[str] = []

    def change_after_the_first_network(sample: Sample) -> FieldPlanes:
        found = read_field(sample)
        reads.append(sample.id)
        if len(reads) == 12:
            first.files[1].write_bytes(second.files[1].read_bytes())
        return found

    monkeypatch.setattr("training.data.steady_planes.read_field", change_after_the_first_network)
    result = compare(*runs, data, "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [failure["id"] for failure in found["failures"]] == [first.id]
    assert "changed since" in found["failures"][0]["error"]
    assert found["comparison"]["fields"] == 11


# --- fields of the fit ----------------------------------------------------------------------------------------------


def fitted_on(data: Path, folder: Path) -> Path:
    return say_fitted_on(make_run(folder, seed=1), data)


def test_fields_of_the_fit_in_another_table_are_counted(data: Path, tmp_path: Path) -> None:
    run = fitted_on(data, tmp_path / "run")
    rows = (data / "train.csv").read_text(encoding="utf-8").splitlines()
    (data / "some.csv").write_text("\n".join(rows[:5]) + "\n", encoding="utf-8")
    result = evaluate(run, data / "some.csv")
    assert result.exit_code == 0
    fitted = sum(row < 4 for row in study_split(12)[0])
    assert fitted > 0
    assert f"was fitted on {fitted} of these 4 fields" in result.stderr
    assert "too good" in result.stderr


def test_copies_of_fields_of_the_fit_are_counted(data: Path, tmp_path: Path) -> None:
    run = fitted_on(data, tmp_path / "run")
    copy = Path(shutil.copytree(data, tmp_path / "copy"))
    rows = (copy / "train.csv").read_text(encoding="utf-8").splitlines()
    (copy / "train.csv").write_text("\n".join(rows[:3]) + "\n", encoding="utf-8")
    fitted = sum(row < 2 for row in study_split(12)[0])
    assert f"was fitted on {fitted} of these 2 fields" in evaluate(run, copy).stderr


def test_other_fields_are_no_fields_of_the_fit(data: Path, tmp_path: Path) -> None:
    run = fitted_on(data, tmp_path / "run")
    other = tmp_path / "elsewhere"
    simulate(other, count=4, seed=2, size=64, workers=1)
    assert "too good" not in evaluate(run, other).stderr
    shutil.rmtree(data)
    assert "too good" not in evaluate(run, other, "--out", tmp_path / "out").stderr
    assert ModelCard.from_json((run / "card.json").read_bytes()).architecture == CARD.architecture
