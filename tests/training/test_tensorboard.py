"""Events are what TensorBoard itself reads, and a resumed fit adds to those of the stopped one."""

import errno
import os
from pathlib import Path

import pytest

from hpa_sdk.errors import OutputError
from tests.training.small_fit import read_events
from training.fit.tensorboard import write_events


def write(folder: Path, epochs: range, loss: float) -> None:
    with write_events(folder, first_epoch=epochs.start) as events:
        for epoch in epochs:
            events.on_epoch_end(epoch, {"loss": loss + epoch, "batch_f1": 0.5, "val_loss": 2 * loss + epoch})


def test_training_and_validation_are_two_lines_of_the_same_names(tmp_path: Path) -> None:
    folder = tmp_path / "körning" / "tensorboard"
    write(folder, range(3), 0.25)
    assert read_events(folder / "training") == {
        "loss": {0: 0.25, 1: 1.25, 2: 2.25},
        "batch_f1": dict.fromkeys(range(3), 0.5),
    }
    assert read_events(folder / "validation") == {"loss": {0: 0.5, 1: 1.5, 2: 2.5}}


def test_a_resumed_fit_adds_events_and_repeats_no_epoch(tmp_path: Path) -> None:
    write(tmp_path, range(4), 0.25)
    before = {file: file.read_bytes() for file in tmp_path.rglob("events*")}
    write(tmp_path, range(2, 5), 0.5)
    assert {file: file.read_bytes() for file in before} == before
    assert read_events(tmp_path / "training")["loss"] == {0: 0.25, 1: 1.25, 2: 2.5, 3: 3.5, 4: 4.5}
    assert read_events(tmp_path / "validation")["loss"] == {0: 0.5, 1: 1.5, 2: 3, 3: 4, 4: 5}


def test_an_epoch_is_on_the_disk_when_it_ends(tmp_path: Path) -> None:
    with write_events(tmp_path, first_epoch=0) as events:
        events.on_epoch_end(0, {"loss": 0.5})
        assert read_events(tmp_path / "training") == {"loss": {0: 0.5}}


def test_an_unwritable_folder_and_a_full_disk_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="the TensorBoard events can't be written"):
        write(tmp_path / "file", range(1), 0.5)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write(tmp_path / "run", range(1), 0.5)
