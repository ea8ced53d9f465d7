"""The same fit runs on other Keras backends and on several devices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training.small_fit import finish
from training.dataset import read_dataset
from training.prepared import DecodedImages

FIT = ["--network", "vgg16", "--weights", "none", "--epochs", 2, "--steps", 3, "--batch-size", 4]
FIT += ["--validation-fields", 8, "--prepared", "none"]
TWO_DEVICES = {
    "jax": {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
    "tensorflow": {"KERAS_BACKEND": "tensorflow", "HPA_TEST_LOGICAL_DEVICES": "2"},
}


def test_a_network_fitted_under_jax_answers_the_same_under_tensorflow(simulated: Path, tmp_path: Path) -> None:
    pytest.importorskip("jax")
    out = tmp_path / "run"
    finish(simulated, "--out", out, *FIT, KERAS_BACKEND="jax")
    card = json.loads((out / "card.json").read_text(encoding="utf-8"))
    assert card["training"]["backend"] == "jax"
    assert "jax" in card["training"]["versions"]
    images = DecodedImages(read_dataset(simulated).samples)[np.arange(8)]
    here = keras.saving.load_model(out / "network.keras").predict(images, verbose=0)
    code = (
        "import sys, keras, numpy as np\n"
        "network = keras.saving.load_model(sys.argv[1])\n"
        "np.save(sys.argv[3], network.predict(np.load(sys.argv[2]), verbose=0))"
    )
    np.save(tmp_path / "images.npy", images)
    arguments = [out / "network.keras", tmp_path / "images.npy", tmp_path / "there.npy"]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    subprocess.run(command, check=True, env=os.environ | {"KERAS_BACKEND": "jax"})
    assert keras.backend.backend() == "tensorflow"
    np.testing.assert_allclose(here, np.load(tmp_path / "there.npy"), rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", TWO_DEVICES)
def test_two_devices_fit_as_one_does(simulated: Path, tmp_path: Path, backend: str) -> None:
    pytest.importorskip(backend)
    histories = []
    for devices in ("one", "all"):
        finish(simulated, "--out", tmp_path / devices, *FIT, "--devices", devices, **TWO_DEVICES[backend])
        histories.append(np.genfromtxt(tmp_path / devices / "history.csv", delimiter=",", names=True))
    for column in ("loss", "val_loss"):
        np.testing.assert_allclose(histories[1][column], histories[0][column], rtol=2e-2)
