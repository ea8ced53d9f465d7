"""The same fit runs on other Keras backends and on several devices."""

import json
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training.small_fit import answers_of, assert_events_are_the_history, finish, read_history, start

FIT = ["--network", "vgg16", "--weights", "none", "--epochs", 2, "--steps", 3, "--batch-size", 4]
FIT += ["--validation-fields", 8, "--statistics-fields", 8, "--prepared", "none", "--pixel-size", 0.32]
TWO_DEVICES = {
    "jax": {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
    "tensorflow": {"KERAS_BACKEND": "tensorflow", "HPA_TEST_LOGICAL_DEVICES": "2"},
}
DEVICES = ("one", "all")
BACKENDS = [backend for backend in TWO_DEVICES if find_spec(backend)]


@pytest.fixture(scope="module")
def runs(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each backend on one device and on all, and with its answers under that backend."""
    folder = tmp_path_factory.mktemp("runs")
    fits = [
        start(
            *([simulated, "--out", folder / f"{backend}-{devices}", *FIT, "--devices", devices] for devices in DEVICES),
            **TWO_DEVICES[backend],
        )
        for backend in BACKENDS
    ]
    for process in fits:
        finish(process)
    return folder


@pytest.mark.skipif("jax" not in BACKENDS, reason="jax is not installed")
def test_a_network_fitted_under_jax_answers_the_same_under_tensorflow(runs: Path, simulated: Path) -> None:
    run = runs / "jax-one"
    card = json.loads((run / "card.json").read_text(encoding="utf-8"))
    assert card["training"]["backend"] == "jax"
    assert "jax" in card["training"]["versions"]
    assert (card["training"]["pixel_size"], card["training"]["field_side"]) == (0.32, 128)
    assert keras.backend.backend() == "tensorflow"
    np.testing.assert_allclose(answers_of(run, simulated), np.load(runs / "jax-one.npy"), rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_devices_fit_as_one_does(runs: Path, backend: str) -> None:
    one, both = (read_history(runs / f"{backend}-{devices}") for devices in DEVICES)
    for column in ("loss", "val_loss"):
        np.testing.assert_allclose(both[column], one[column], rtol=2e-2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_events_are_written_under_every_backend(runs: Path, backend: str) -> None:
    assert_events_are_the_history(runs / f"{backend}-one")
