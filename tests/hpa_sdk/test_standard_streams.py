"""An output that fails gives one sentence and exit code 2; a closed pipe ends the command without a message."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpa_sdk import Sample
from hpa_sdk.cli import main
from hpa_sdk.cli.standard_streams import CLOSED_PIPE

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="a named pipe is POSIX's")


def hpa(*arguments: object, code: int = 0, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, and check its exit code."""
    command = [sys.executable, "-m", "hpa_sdk.cli", *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"} | options
    done = subprocess.run(command, check=False, timeout=120, **streams)  # type: ignore[call-overload]
    assert "Traceback" not in (done.stderr or "")
    assert done.returncode == code, done.stderr
    return done  # type: ignore[no-any-return]


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if not line.startswith("Using ")]


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def predict(model: Path, fields: list[Sample]) -> list[object]:
    return ["predict", model, fields[0].files[0].parent, "--device", "cpu"]


def commands(model: Path, fields: list[Sample]) -> dict[str, list[object]]:
    folder = fields[0].files[0].parent
    return {
        "csv": ["predict", model, folder],
        "jsonl": ["predict", model, folder, "--format", "jsonl"],
        "kaggle": ["predict", model, folder, "--format", "kaggle"],
        "failed": ["predict", model, folder, folder / "gone"],
        "inspect": ["inspect", model],
        "inspect json": ["inspect", model, "--json"],
        "doctor": ["doctor", "--json"],
        "bench": ["bench", model, folder, "--rounds", "1", "--seconds", "0.01", "--json"],
        "help": ["predict", "--help"],
        "version": ["--version"],
    }


NAMES = ["csv", "jsonl", "kaggle", "failed", "inspect", "inspect json", "doctor", "bench", "help", "version"]


@needs_full
@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_one_sentence(small_model: Path, fields: list[Sample], name: str) -> None:
    with FULL.open("w") as full:
        lines = said(hpa(*commands(small_model, fields)[name], stdout=full, code=2))
    assert lines[-1] == "Error: standard output: the disk is full. Free some space and run again."
    assert len(lines) == 1 or name == "failed"


@pytest.mark.parametrize("name", ["csv", "inspect json", "help"])
def test_a_closed_pipe_is_a_quiet_end(small_model: Path, fields: list[Sample], name: str) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        assert said(hpa(*commands(small_model, fields)[name], stdout=write, code=CLOSED_PIPE)) == []
    finally:
        os.close(write)


@needs_full
def test_what_is_said_and_can_t_be_is_no_failure(predict: list[object], tmp_path: Path) -> None:
    with FULL.open("w") as full:
        assert hpa(*predict, tmp_path / "gone", stderr=full, code=1).stdout.count("\n") == 7
        assert hpa("station", "init", tmp_path / "station.toml", stderr=full).stdout == ""


@needs_posix
@pytest.mark.parametrize(("closed", "code"), [(">&-", 2), ("2>&-", 0)])
def test_a_stream_that_was_never_there(closed: str, code: int) -> None:
    line = f'"{sys.executable}" -m hpa_sdk.cli --version {closed}'
    done = subprocess.run(["/bin/sh", "-c", line], check=False, capture_output=True, encoding="utf-8")
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16"])
def test_a_console_of_another_encoding(predict: list[object], tmp_path: Path, encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = hpa(*predict, tmp_path / "日本 ö", env=environment, code=1)
    assert f"{tmp_path / '日本 ö'}," in done.stdout
    assert "日本 ö" in done.stderr


@pytest.mark.parametrize("form", ["csv", "jsonl", "kaggle"])
def test_a_dash_is_the_standard_output(predict: list[object], tmp_path: Path, form: str) -> None:
    expected = hpa(*predict, "--format", form).stdout
    assert expected.count("\n") >= 5
    places = ["-", "/dev/stdout", "/dev/fd/1"] if sys.platform == "linux" else ["-"]
    for place in places:
        assert hpa(*predict, "--format", form, "-o", place, cwd=tmp_path).stdout == expected
    assert names_in(tmp_path) == ["fields"]


def test_a_redirected_output_is_written_where_it_goes(predict: list[object], tmp_path: Path) -> None:
    with (tmp_path / "out.csv").open("w") as out:
        hpa(*predict, "-o", "-", stdout=out)
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == hpa(*predict).stdout
    assert names_in(tmp_path) == ["fields", "out.csv"]


@needs_posix
def test_a_named_pipe_is_written_as_it_comes(predict: list[object], tmp_path: Path) -> None:
    pipe, found = tmp_path / "pipe.csv", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    hpa(*predict, "-o", pipe)
    reader.join(60)
    assert found == [hpa(*predict).stdout]
    assert names_in(tmp_path) == ["fields", "pipe.csv"]


@pytest.mark.parametrize("output", ["-", "/dev/null"])
def test_what_needs_a_file_is_refused_without_one(predict: list[object], output: str) -> None:
    if output == "/dev/null" and sys.platform == "win32":
        pytest.skip("Windows has no such path")
    for options, message in ((["--format", "parquet"], "parquet is no text"), (["--resume"], "an output file")):
        refused = CliRunner().invoke(main, [*map(str, predict), "-o", output, *options])
        assert refused.exit_code == 2
        assert message in refused.stderr
