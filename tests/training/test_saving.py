"""A full disk is reported when a network is saved, and the earlier file stays."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import pytest

from hpa_sdk.errors import OutputError
from tests.training.small_fit import build_small_network
from training.fit.checkpoints import Progress
from training.fit.saving import save

pytestmark = pytest.mark.slow


@pytest.fixture
def network() -> keras.Model:
    network = build_small_network("small")
    network.compile("adam", "binary_crossentropy")
    network.optimizer.build(network.trainable_variables)
    return network


def test_a_full_disk_is_reported_before_anything_is_written(
    network: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.weights.h5"
    save(path, network, network.save_weights)
    before, size = path.read_bytes(), path.stat().st_size

    def fail(_: Path) -> None:
        raise AssertionError

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size))
    with pytest.raises(OutputError, match=r"state\.weights\.h5: the disk is full: .* MB are free") as raised:
        save(path, network, fail)
    assert "--resume" in raised.value.remedy
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {path.name: before}


def test_the_optimizer_counts(network: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = 4 * network.count_params()
    # Room for HDF5's own bytes and twice the weights: Adam wants two numbers more a weight.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=32 * 2**20 + 2 * weights))
    plain = build_small_network("plain")
    save(tmp_path / "plain.weights.h5", plain, plain.save_weights)
    with pytest.raises(OutputError, match="the disk is full"):
        save(tmp_path / "state.weights.h5", network, network.save_weights)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(27, "File too large"), "the disk is full"),
        (OSError("Can't write data (errno = 28)"), r"can't be saved \(Can't write data.*the disk may be full"),
        (RuntimeError("Can't decrement id ref count"), r"can't be saved \(Can't decrement.*the disk may be full"),
    ],
)
def test_what_hdf5_raises_becomes_an_output_error(
    network: keras.Model, tmp_path: Path, error: Exception, message: str
) -> None:
    path = tmp_path / "state.weights.h5"
    path.write_bytes(b"good")

    def fail(partial: Path) -> Any:
        partial.write_bytes(b"half")
        raise error

    with pytest.raises(OutputError, match=message):
        save(path, network, fail)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {path.name: b"good"}


def test_epochs_and_stages_are_whole_numbers_after_a_resume(tmp_path: Path) -> None:
    Progress(epochs=1, best_loss=1.0, history=[{"epoch": 0, "stage": 0, "loss": 1.0}]).write(tmp_path)
    resumed = Progress.read(tmp_path)
    resumed.history.append({"epoch": 1, "stage": 0, "loss": 0.5})
    resumed.write(tmp_path)
    assert (tmp_path / "history.csv").read_text(encoding="utf-8") == "epoch,stage,loss\n0,0,1.0\n1,0,0.5\n"
