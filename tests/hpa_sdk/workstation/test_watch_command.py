"""``hpa watch`` runs until it is stopped, and reports what prevents its start."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hpa_sdk.cli import main
from hpa_sdk.results.result_ledger import Ledger
from hpa_sdk.results.result_store import LEDGER, TABLE
from tests.hpa_sdk.workstation.watching import make_station, rows, wait_until
from tests.small import make_field, make_model, random_planes, write_planes

# Windows sends no SIGTERM; a process of a group of its own is asked to end by Ctrl-Break, as services do.
ENDS = [signal.CTRL_BREAK_EVENT] if sys.platform == "win32" else [signal.SIGINT, signal.SIGTERM]  # type: ignore[attr-defined,unused-ignore]


@contextmanager
def watch(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Start the command in a process of its own."""
    command = [sys.executable, "-m", "hpa_sdk.cli", "watch", *map(str, arguments)]
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    with subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8", creationflags=group) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_on_request_and_resumes_where_it_stopped(tmp_path: Path, model: Path, end: signal.Signals) -> None:
    rng = np.random.default_rng(1)
    station = make_station(tmp_path, model)
    for name, code in (("a", 0), ("bad", 1)):
        sample = make_field(station.watch, name, rng)
        if code:
            sample.files[0].write_bytes(b"")
        with watch(tmp_path / "station.toml") as process:
            wait_until(lambda name=name: (station.output / f"{name}.json").exists(), 60)  # type: ignore[misc]
            process.send_signal(end)
            _, talk = process.communicate(timeout=60)
        assert process.returncode == code, talk
        assert f"\n{name}: " in talk
        assert "Traceback" not in talk
    assert [row["id"] for row in rows(station.output)] == ["a", "bad"]
    ledger = Ledger(station.output / LEDGER)
    assert (ledger.count(), ledger.count(failed=True)) == (2, 1)
    ledger.close()


def test_model_and_folder_suffice_a_second_watch_is_refused(tmp_path: Path, small_model: Path) -> None:
    folder = tmp_path / "Bilder ö"
    planes = random_planes(np.random.default_rng(1), dtype=np.uint16)
    planes[1] = 0
    write_planes(folder / "below", "a", planes)
    with watch(small_model, folder, "--white", 4095, "-r", "--threshold", "0", "--device", "cpu") as process:
        wait_until((folder / "below" / "a.json").exists, 60)
        second = CliRunner().invoke(main, ["watch", str(small_model), str(folder)])
        assert second.exit_code == 2
        assert f"process {process.pid} on" in second.stderr
        assert process.stderr is not None
        warned = next(line for line in iter(process.stderr.readline, "") if "below/a: warning: " in line)
        assert "The green plane is empty" in warned
        # The table is written after the file: a process that is killed between leaves it to the next one.
        wait_until((folder / TABLE).exists)
    (row,) = rows(folder)
    assert (row["id"], row["error"], len(row["indices"].split())) == ("below/a", "", 28)
    # Killed, as above: the next one starts all the same, and has nothing to do.
    with watch(small_model, folder, "-r") as process:
        assert process.stderr is not None
        assert "Watching" in "".join(process.stderr.readline() for _ in range(2))


def test_folders_are_named_from_the_working_folder(
    tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = make_field(tmp_path / "exports", "a", np.random.default_rng(1))
    (tmp_path / "answers").mkdir()
    monkeypatch.chdir(tmp_path)
    with watch(small_model, "exports", "-o", "answers", "--device", "cpu"):
        wait_until(lambda: (tmp_path / "answers" / "a.json").exists() and rows(tmp_path / "answers"), 60)
    [row] = rows(tmp_path / "answers")
    assert sorted(row["files"].split(";")) == sorted(map(str, sample.files))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.toml"], "hpa station init"),
        (["{model}", "{folder}", "-o", "{folder}/gone"], "no such folder"),
        (["{folder}/no.onnx", "{folder}"], "no.onnx"),
        (["{model}", "{folder}", "--threshold", "high"], "$.threshold"),
        (["{model}", "{folder}", "--white", "0"], "$.files.white"),
        (["{folder}/station.toml", "--device", "cpu"], "write them into it"),
        (["{model}", "{folder}", "--device", "abacus"], "abacus"),
    ],
)
def test_what_prevents_the_start_is_reported(tmp_path: Path, model: Path, arguments: list[str], message: str) -> None:
    filled = [argument.format(model=model, folder=tmp_path) for argument in arguments]
    result = CliRunner().invoke(main, ["watch", *filled])
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_ledger_of_another_version_is_refused_and_unchanged(tmp_path: Path) -> None:
    make_model(tmp_path / "small.onnx")
    station = make_station(tmp_path, tmp_path / "small.onnx")
    (station.output / LEDGER).write_bytes(b"something else" * 100)
    result = CliRunner().invoke(main, ["watch", str(tmp_path / "station.toml")])
    assert result.exit_code == 2
    assert "Move it away" in result.stderr or "moved away" in result.stderr
    assert (station.output / LEDGER).read_bytes() == b"something else" * 100


def test_it_leaves_the_console_s_signals_as_they_were(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    CliRunner().invoke(main, ["watch", str(tmp_path / "gone.onnx"), str(tmp_path)])
    assert signal.getsignal(signal.SIGINT) is before
