"""A killed fit resumes without a difference in its results, and never overwrites what it should not."""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hpa_sdk.errors import OutputError
from hpa_sdk.models.model_card import ModelCard
from tests.training.small_fit import (
    BACKENDS,
    assert_events_are_the_history,
    build_small_network,
    finish,
    read_history,
    start,
    weights_of,
)
from training.data.batches import FieldBatches
from training.data.dataset import Targets
from training.data.prepared import Images
from training.errors import RunError
from training.fit import fit as fit_module
from training.fit.checkpoints import Progress
from training.fit.fit import fit
from training.fit.recipe import Recipe, read_recipe
from training.fit.run_folder import Plan

pytestmark = pytest.mark.slow


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "build_network", build_small_network)


def plan(data: Path, **changes: Any) -> Plan:
    recipe = read_recipe("study").adjusted("vgg16", epochs=2, steps_per_epoch=2, batch_size=2, validation_fields=3)
    values: dict[str, Any] = {"network": "vgg16", "recipe": recipe, "data": (data,), "weights": "none"}
    return Plan(**(values | changes))


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def with_rate(recipe: Recipe, learning_rate: float, epochs: int) -> Recipe:
    return replace(recipe, stages=(replace(recipe.stages[0], learning_rate=learning_rate, epochs=epochs),))


def assert_same_run(found: Path, expected: Path) -> None:
    for one, other in zip(weights_of(found), weights_of(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    histories = [read_history(run) for run in (found, expected)]
    for column, values in histories[1].items():
        np.testing.assert_allclose(histories[0][column], values, rtol=1e-5, atol=1e-6)
    assert_events_are_the_history(found)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_killed_fit_resumes_to_what_an_undisturbed_one_gives(simulated: Path, tmp_path: Path, backend: str) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    sizes = "--epochs 6 --steps 3 --batch-size 4 --validation-fields 8 --seed 4 --weights none --prepared none"
    options = ["--network", "inception_resnet_v2", *sizes.split()]
    fit_killed = [simulated, "--out", killed, *options, "--checkpoint-every", 2]
    process = start(fit_killed, KERAS_BACKEND=backend)
    while Progress.read(killed).epochs < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (killed / "card.json").exists()

    finish(start([*fit_killed, "--resume"], [simulated, "--out", undisturbed, *options], KERAS_BACKEND=backend))
    cards = [ModelCard.from_json((run / "card.json").read_text(encoding="utf-8")) for run in (killed, undisturbed)]
    assert cards[0].metrics == cards[1].metrics
    assert_same_run(killed, undisturbed)


@pytest.mark.usefixtures("small")
def test_a_nan_loss_stops_the_fit_and_keeps_the_good_state(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batch_of_epoch(batches: FieldBatches, index: int) -> tuple[Images, Targets]:
        images, targets = draw(batches, index)
        return (images, targets * np.float32("nan")) if batches._epoch == 1 and index == 1 else (images, targets)

    draw = FieldBatches.__getitem__
    monkeypatch.setattr(FieldBatches, "__getitem__", batch_of_epoch)
    out = tmp_path / "run"
    with pytest.raises(RunError, match=r"the loss is nan in step 2 of epoch 2 \(the state after epoch 1 is saved\)"):
        fit(plan(simulated), out)
    assert not (out / "card.json").exists()
    kept = Progress.read(out)
    assert (kept.epochs, kept.state) == (1, "state-1.weights.h5")
    assert (out / kept.state).exists()
    monkeypatch.setattr(FieldBatches, "__getitem__", draw)
    fit(plan(simulated), out, resume=True)


@pytest.mark.usefixtures("small")
def test_a_full_disk_leaves_the_old_state_and_the_fit_resumes(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = 0

    def save_until_full(network: keras.Model, path: Path, **options: Any) -> None:
        nonlocal saved
        saved += 1
        if saved > 2:
            raise OSError(28, "No space left on device")
        save(network, path, **options)

    save = keras.Model.save_weights
    recipe = read_recipe("strong").adjusted(
        "vgg16", epochs=2, steps_per_epoch=2, batch_size=2, validation_fields=3, precision="float32"
    )
    averaged = plan(simulated, recipe=recipe)
    with monkeypatch.context() as full_disk:
        full_disk.setattr(keras.Model, "save_weights", save_until_full)
        with pytest.raises(OutputError, match="the disk is full"):
            fit(averaged, tmp_path / "run")
    assert Progress.read(tmp_path / "run").epochs == 1
    fit(averaged, tmp_path / "run", resume=True)
    fit(averaged, tmp_path / "undisturbed")
    assert_same_run(tmp_path / "run", tmp_path / "undisturbed")


@pytest.mark.usefixtures("small")
def test_another_plan_other_data_or_a_finished_run_is_refused(simulated: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    fit(plan(simulated), out)
    before = contents(out)
    other_data = tmp_path / "data"
    shutil.copytree(simulated, other_data, ignore=shutil.ignore_patterns(".prepared"))
    for changed, message in (
        (plan(simulated, recipe=with_rate(plan(simulated).recipe, 1e-3, 2)), "another recipe"),
        (plan(simulated, seed=9), "another seed"),
        (plan(other_data), "another data"),
        (plan(simulated), "the run is finished"),
    ):
        with pytest.raises(RunError, match=message):
            fit(changed, out, resume=True)
    with pytest.raises(RunError, match="already holds a run"):
        fit(plan(simulated), out)
    assert contents(out) == before
