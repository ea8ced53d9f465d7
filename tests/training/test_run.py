"""A fit that can't have its run folder says why, and makes none."""

import json
import logging
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpa_sdk.errors import OutputError
from hpa_sdk.models.onnx_file import file_sha256
from tests.small import CARD
from training.__main__ import main
from training.errors import RunError
from training.fit.recipe import read_recipe
from training.fit.run_folder import Plan, Run, parent_run

PLAN = Plan(network="vgg16", recipe=read_recipe("study").adjusted("vgg16"), data=(Path("data"),), weights="none")


def fit(*arguments: str | Path) -> tuple[int, str]:
    command = ["fit", *map(str, arguments), "--network", "vgg16", "--weights", "none"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    return result.exit_code, result.stderr


def test_a_folder_that_can_t_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError, match="the run folder can't be made"):
            Run(folder, PLAN, "f")
    assert (tmp_path / "file").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("text", [b'{"network"', b"[]", b'{"a": "\xff"}'])
def test_a_damaged_record_is_reported(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "run.json").write_bytes(text)
    with pytest.raises(RunError, match=r"run\.json: the record of the run can't be read"):
        Run(tmp_path, PLAN, "f", resume=True)


def test_one_field_is_refused_before_a_folder_is_made(simulated: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    header, row, *_ = (simulated / "train.csv").read_text(encoding="utf-8").splitlines()
    (data / "train.csv").write_text(f"{header}\n{row}\n", encoding="utf-8")
    for file in simulated.rglob(f"{row.split(',')[0]}_*"):
        shutil.copy(file, data)
    for _ in range(2):
        code, stderr = fit(data, "--out", tmp_path / "run")
        assert code == 2
        assert "1 labelled field can't be split" in stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data"]
    assert not (data / ".prepared").exists()


def test_a_seed_that_numpy_can_t_take_is_refused(simulated: Path, tmp_path: Path) -> None:
    code, stderr = fit(simulated, "--out", tmp_path / "run", "--seed", str(2**32))
    assert code == 2
    assert "Invalid value for '--seed'" in stderr
    assert not (tmp_path / "run").exists()


def test_a_run_resumed_by_another_backend_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Run(tmp_path, PLAN, "f")
    record = tmp_path / "run.json"
    content = json.loads(record.read_text(encoding="utf-8"))
    Run(tmp_path, PLAN, "f", resume=True)
    assert caplog.messages == []
    record.write_text(json.dumps(content | {"backend": "another"}), encoding="utf-8")
    Run(tmp_path, PLAN, "f", resume=True)
    (message,) = caplog.messages
    assert f"was started by Keras on another and is resumed on {content['backend']}" in message
    assert caplog.records[0].levelno == logging.WARNING
    # As earlier versions wrote it.
    del content["backend"]
    record.write_text(json.dumps(content), encoding="utf-8")
    Run(tmp_path, PLAN, "f", resume=True)
    assert len(caplog.messages) == 1


def test_a_run_is_resumed_only_if_it_is_known_what_it_knows(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    network, card = earlier / "network.keras", earlier / "card.json"
    network.write_bytes(b"weights")
    sha256 = file_sha256(network)
    card.write_text(CARD.to_json(), encoding="utf-8")
    (earlier / "run.json").write_text(json.dumps({"network_sha256": sha256}), encoding="utf-8")
    for resume in (False, True):
        before = parent_run(network, sha256)
        assert before is not None
        Run(tmp_path / "run", PLAN, "f", resume=resume, weights_sha256=sha256, parent=before)
    card.unlink()
    with pytest.raises(RunError, match="nothing says which data"):
        Run(tmp_path / "run", PLAN, "f", resume=True, weights_sha256=sha256, parent=parent_run(network, sha256))
