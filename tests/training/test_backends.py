"""The same fit runs on other Keras backends and on several devices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training.small_fit import (
    BACKENDS,
    ROOT,
    answers_of,
    assert_events_are_the_history,
    finish,
    read_history,
    start,
)
from training.data.dataset import read_dataset
from training.data.prepared import DecodedImages
from training.data.split import study_split

pytestmark = pytest.mark.slow

FIT = ["--network", "vgg16", "--weights", "none", "--epochs", 2, "--steps", 3, "--batch-size", 4]
FIT += ["--validation-fields", 8, "--statistics-fields", 8, "--prepared", "none", "--pixel-size", 0.32]
DEVICES = ("one", "all")


def sharing(backend: str, count: int) -> dict[str, str]:
    """Return the environment in which a backend sees several devices."""
    if backend == "jax":
        return {"KERAS_BACKEND": backend, "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}"}
    # Under TensorFlow each device normalizes and drops for itself.
    return {"KERAS_BACKEND": backend, "HPA_TEST_LOGICAL_DEVICES": str(count), "HPA_TEST_PLAIN_NETWORK": "1"}


@pytest.fixture(scope="module")
def runs(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each backend on one device and on all, and with its answers under that backend."""
    folder = tmp_path_factory.mktemp("runs")
    fits = [
        start(
            *([simulated, "--out", folder / f"{backend}-{devices}", *FIT, "--devices", devices] for devices in DEVICES),
            **sharing(backend, 2),
        )
        for backend in BACKENDS
    ]
    for process in fits:
        finish(process)
    return folder


@pytest.mark.skipif("jax" not in BACKENDS, reason="jax is not installed")
def test_a_jax_network_answers_the_same_under_tensorflow(runs: Path, simulated: Path) -> None:
    run = runs / "jax-one"
    card = json.loads((run / "card.json").read_text(encoding="utf-8"))
    assert card["training"]["backend"] == "jax"
    assert "jax" in card["training"]["versions"]
    assert (card["training"]["pixel_size"], card["training"]["field_side"]) == (0.32, 128)
    assert keras.backend.backend() == "tensorflow"
    np.testing.assert_allclose(answers_of(run, simulated), np.load(runs / "jax-one.npy"), rtol=0, atol=1e-6)


@pytest.mark.skipif("jax" not in BACKENDS, reason="jax is not installed")
def test_statistics_are_taken_under_jax_as_under_tensorflow() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/training/test_statistics.py"]
    completed = subprocess.run(
        [*command, "-k", "those_of_the_images or frozen"],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert "2 passed" in completed.stdout, completed.stdout


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_devices_fit_as_one_does(runs: Path, backend: str) -> None:
    one, both = (read_history(runs / f"{backend}-{devices}") for devices in DEVICES)
    for column in ("loss", "val_loss"):
        np.testing.assert_allclose(both[column], one[column], rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_devices_can_t_share_is_refused_or_made_even(simulated: Path, tmp_path: Path, backend: str) -> None:
    run, refused = tmp_path / "run", tmp_path / "refused"
    sizes = "--network vgg16 --weights none --epochs 1 --steps 1 --validation-fields 10 --prepared none --devices all"
    fits = [
        start([simulated, "--out", out, *sizes.split(), "--batch-size", batch_size], **sharing(backend, 4))
        for out, batch_size in ((run, 8), (refused, 10))
    ]
    finish(fits[0])
    output, _ = fits[1].communicate()
    assert fits[1].returncode != 0
    assert "a batch of 10 fields can't be shared evenly among 4 devices" in output
    assert "--batch-size 8 or 12" in output
    assert not refused.exists()

    dataset = read_dataset(simulated)
    rows = np.random.default_rng([0, 10]).choice(study_split(len(dataset.samples))[1], 12)
    answers = keras.saving.load_model(run / "network.keras").predict(DecodedImages(dataset.samples)[rows], verbose=0)
    loss = keras.losses.BinaryCrossentropy()(dataset.targets[rows], answers)
    np.testing.assert_allclose(read_history(run)["val_loss"], [float(loss)], rtol=1e-5)


@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("backend", BACKENDS)
def test_each_epoch_is_fed_its_own_batches_in_order(backend: str, first: int) -> None:
    command = [sys.executable, "-m", "tests.training.fed_batches", str(first)]
    completed = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True, check=True
    )
    fed, drawn = json.loads(completed.stdout)
    assert fed == drawn
    assert len({tuple(epoch) for epoch in fed}) == len(fed) == 4 - first


@pytest.mark.parametrize("backend", BACKENDS)
def test_events_are_written_under_every_backend(runs: Path, backend: str) -> None:
    assert_events_are_the_history(runs / f"{backend}-one")
