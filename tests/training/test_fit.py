"""A fit leaves a run folder that says all that was done."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.samples import Channel
from hpa_sdk.models.model_card import ModelCard
from tests.training.small_fit import build_small_network
from training.__main__ import main
from training.data.dataset import read_dataset
from training.data.prepared import DecodedImages, Images, Rows
from training.data.split import study_split
from training.fit import fit as fit_module
from training.fit.fit import fit
from training.fit.recipe import read_recipe
from training.fit.run_folder import Plan, Run
from training.judge.calibration import calibrate
from training.judge.metrics import judge
from training.networks import build_network

pytestmark = pytest.mark.slow


def test_the_run_folder_holds_network_card_record_and_history(run: Path, simulated: Path) -> None:
    names = {
        "network.keras",
        "card.json",
        "run.json",
        "history.csv",
        "history.png",
        "training_images.png",
        "tensorboard",
    }
    assert {file.name for file in run.iterdir()} == names
    card = ModelCard.from_json((run / "card.json").read_text(encoding="utf-8"))
    dataset = read_dataset(simulated)
    stages = 2 if run.name == "inception_resnet_v2" else 1
    assert card.architecture == run.name
    assert (card.training.recipe, card.training.seed, card.training.initial_weights) == ("study", 5, "none")
    assert (card.training.steps, card.training.fields_seen) == (stages, 2 * stages)
    assert card.training.data_fingerprint == dataset.fingerprint
    assert {"python", "keras", "tensorflow"} <= set(card.training.versions)
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["data"] == [str(simulated.resolve())]
    assert record["recipe"]["stages"][-1]["learning_rate"] == 1e-4
    rows = list(csv.DictReader((run / "history.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(stages)]
    assert all(np.isfinite(float(row[name])) for row in rows for name in ("loss", "val_loss", "val_batch_f1"))
    if stages == 2:
        assert float(rows[0]["val_loss"]) < 1


def test_the_kept_network_gives_the_card_s_figures(run: Path, simulated: Path) -> None:
    card = ModelCard.from_json((run / "card.json").read_text(encoding="utf-8"))
    network = keras.saving.load_model(run / "network.keras")
    assert not network.compiled
    dataset = read_dataset(simulated)
    validation = study_split(len(dataset.samples))[1]
    probabilities = network.predict(DecodedImages(dataset.pick(validation))[np.arange(len(validation))], verbose=0)
    assert card.metrics is not None
    assert card.metrics.fields == len(validation) == 13
    assert card.metrics == judge(
        dataset.targets[validation], probabilities, thresholds=card.thresholds, data=card.metrics.data
    )
    expected = calibrate(dataset.targets[validation], probabilities)
    assert (card.calibration is None) == (expected is None)
    if card.calibration is not None and expected is not None:
        assert card.calibration.temperature == pytest.approx(expected.temperature, rel=1e-3)


def test_the_card_says_what_training_fields_look_like(run: Path, simulated: Path) -> None:
    """The reference is of fields of the training part, and of the embedding that the exported network gives."""
    card = ModelCard.from_json((run / "card.json").read_text(encoding="utf-8"))
    assert card.reference is not None
    assert card.reference.fields == 20
    assert card.reference.limits is not None
    assert card.reference.limits.low.keys() == {
        f"brightness {channel}" for channel in Channel
    }  # of planes of 128 pixels
    network = keras.saving.load_model(run / "network.keras")
    dataset = read_dataset(simulated)
    training, _ = study_split(len(dataset.samples))
    images = DecodedImages(dataset.pick(training))[np.arange(len(training))]
    embed = keras.Model(network.input, network.layers[-1].input)
    spread = card.reference.spread
    assert spread is not None
    shares = [spread.share_beyond(embedding) for embedding in embed.predict(images, verbose=0)]
    assert 0.1 < np.mean(shares) < 0.9
    assert spread.share_beyond(np.full(spread.width, 1e4, np.float32)) == 0


def test_every_weight_moved_but_for_the_frozen_stage(run: Path) -> None:
    keras.utils.set_random_seed(5)
    start = build_network(run.name)  # type: ignore[arg-type]
    fitted = keras.saving.load_model(run / "network.keras")
    for before, after in zip(start.trainable_weights, fitted.trainable_weights, strict=True):
        assert not np.array_equal(before.numpy(), after.numpy()), before.path


def test_a_folder_that_holds_a_run_is_refused(run: Path, simulated: Path) -> None:
    before = (run / "card.json").read_bytes()
    arguments = ["fit", str(simulated), "--network", "vgg16", "--out", str(run), "--weights", "none"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "already holds a run" in result.stderr
    assert (run / "card.json").read_bytes() == before


def test_training_and_validation_fields_are_not_mixed(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(DecodedImages):
        def __getitem__(self, rows: Rows) -> Images:
            asked.setdefault(len(rows), []).append(rows.tolist())
            return super().__getitem__(rows)

    asked: dict[int, list[list[int]]] = {}
    monkeypatch.setattr(fit_module, "DecodedImages", Asked)
    monkeypatch.setattr(fit_module, "build_network", build_small_network)
    # Each kind of question has a length of its own.
    recipe = read_recipe("study").adjusted(
        "vgg16", epochs=2, steps_per_epoch=3, batch_size=4, validation_fields=7, statistics_fields=5
    )
    plan = Plan(network="vgg16", recipe=recipe, data=(simulated,), weights="none")
    fit(plan, tmp_path / "run", reference_fields=20)
    training, validation = (part.tolist() for part in study_split(64))
    described = [row for rows in (*asked[4][-1:], *asked.pop(16)) for row in rows]
    del asked[4][-1]
    fitted_on, statistics, drawn, judged = (asked.pop(length) for length in (4, 5, 7, 1))
    assert not asked
    assert len(set(described) & set(training)) == 20
    assert len(fitted_on) >= 6
    assert set(training) >= {row for rows in fitted_on + statistics for row in rows}
    assert len(set(statistics[0])) == 5
    assert len(drawn) == 1
    assert set(validation) >= set(drawn[0])
    assert sorted(judged) == [[row] for row in sorted(validation)]


def test_a_wrong_folder_is_reported_before_any_work_starts(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_late(*_: object, **__: object) -> None:
        pytest.fail("the folder was not looked at first")

    for name in ("build_network", "prepare"):
        monkeypatch.setattr(fit_module, name, too_late)
    file, begun = tmp_path / "file", tmp_path / "begun"
    file.write_bytes(b"kept")
    plan = Plan(network="vgg16", recipe=read_recipe("study").adjusted("vgg16"), data=(simulated,), weights="none")
    Run(begun, plan, read_dataset(simulated).fingerprint)
    before = (begun / "run.json").read_bytes()
    for out, changed, resume, message in (
        (file, plan, False, "this is a file, not a folder"),
        (begun, plan, False, "already holds a run"),
        (begun, replace(plan, seed=9), True, "another seed"),
    ):
        with pytest.raises(HpaError, match=message):
            fit(changed, out, prepared=tmp_path / "prepared", resume=resume)
    assert file.read_bytes() == b"kept"
    assert [path.name for path in begun.iterdir()] == ["run.json"]
    assert (begun / "run.json").read_bytes() == before
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "soup"], "there is no recipe"),
        (["--weights", "gone.h5"], "can't be loaded"),
        (["--epochs", "0"], "Invalid value"),
        (["--network", "lenet"], "Invalid value"),
    ],
)
def test_a_fit_that_can_t_start_leaves_nothing(
    simulated: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    out = tmp_path / "run"
    result = CliRunner().invoke(main, ["fit", str(simulated), "--network", "vgg16", "--out", str(out), *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not out.exists()
