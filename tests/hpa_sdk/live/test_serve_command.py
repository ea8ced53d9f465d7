"""``hpa serve`` watches and serves until it is stopped, and reports what prevents its start."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from hpa_sdk.cli import main
from hpa_sdk.live import page
from hpa_sdk.workstation.station import Cells, Station
from tests.hpa_sdk.live.serving import TOKEN, field
from tests.hpa_sdk.workstation.test_watch_command import ENDS
from tests.hpa_sdk.workstation.watching import make_station, wait_until


@pytest.mark.slow
def test_it_watches_and_serves_until_it_is_asked_to_end(tmp_path: Path, model: Path) -> None:
    station = make_station(tmp_path, model)
    field(station.watch, "a")
    command = [sys.executable, "-m", "hpa_sdk.cli", "serve", str(tmp_path / "station.toml"), "--port", "0"]
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    with subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8", creationflags=group) as process:
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "the page is" in line)
            url = line.rpartition(" ")[2].strip().removesuffix(".")
            wait_until(lambda: httpx.get(f"{url}results", timeout=60).json()["results"], 60)
            # An open page must not hold it up.
            with httpx.stream("GET", f"{url}events", timeout=60) as stream:
                next(stream.iter_lines())
                process.send_signal(ENDS[0])
                log = process.stderr.read()
                process.wait(60)
        finally:
            process.kill()
    assert (process.returncode, "Traceback" in log) == (0, False), log
    assert (station.output / "a.json").exists()


def test_a_model_alone_answers_what_is_sent(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The folder for results appears where the command is run.
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["serve", str(model), "--port", str(port)])
    assert (result.exit_code, (tmp_path / "hpa-results").is_dir()) == (2, True)
    assert "another port" in result.stderr


@pytest.mark.parametrize(
    ("options", "cells"),
    [
        ([], None),
        (["--cells"], Cells()),
        (["--masks", "masks"], Cells(masks=Path("masks"))),
        (["--cells", "--masks", "masks"], Cells(masks=Path("masks"))),
    ],
)
def test_cells_are_asked_for_without_a_station_file(
    tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], cells: Cells | None
) -> None:
    started: list[Station] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(page, "run", lambda station, **_: started.append(station))
    for folder in ([], [str(tmp_path)]):
        result = CliRunner().invoke(main, ["serve", str(small_model), *folder, *options])
        assert result.exit_code == 0, result.output
    assert [station.cells for station in started] == [cells, cells]


def test_masks_that_are_not_there_prevent_the_start(
    tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["serve", str(small_model), "--port", "0", "--masks", "gone"])
    assert (result.exit_code, "no such folder of masks" in result.stderr) == (2, True)


def test_a_results_folder_that_can_t_be_made_is_reported(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hpa-results").touch()
    result = CliRunner().invoke(main, ["serve", str(model)])
    assert (result.exit_code, "Name another with -o" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/gone.toml"], "hpa station init"),
        (["{folder}/gone.onnx", "{folder}"], "gone.onnx"),
        (["{model}", "{folder}", "-o", "{folder}/gone"], "no such folder"),
        (["{model}", "{folder}", "--host", "microscope.example"], "--token"),
        (["{model}", "{folder}", "--token", "short"], "16 or more"),
        (["{model}", "{folder}", "-r"], "answered twice"),
        (["{folder}/station.toml", "--device", "cpu"], "write them into it"),
        (["{folder}/station.toml", "--cells"], "write them into it"),
    ],
)
def test_what_prevents_the_start_is_reported(tmp_path: Path, model: Path, arguments: list[str], message: str) -> None:
    filled = [argument.format(model=model, folder=tmp_path) for argument in arguments]
    result = CliRunner().invoke(main, ["serve", "--port", "0", *filled])
    assert (result.exit_code, TOKEN in result.output) == (2, False)
    assert message in result.stderr
