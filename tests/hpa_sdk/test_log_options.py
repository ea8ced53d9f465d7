"""Every command shows as much of its log as asked, and writes it to a file with times."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hpa_sdk import Sample
from hpa_sdk.cli import main
from tests.hpa_sdk.batch.runs import predict

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) (.*)")
WARNING = "a warning"
DETAIL = "a detail"


def lines_of(path: Path) -> list[tuple[str, ...]]:
    matches = [LINE.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [match.groups() for match in matches if match is not None]


@pytest.fixture
def run(model: Path, fields: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    def find(*_: object, **__: object) -> Iterator[Sample]:
        logging.getLogger("hpa_sdk").warning(WARNING)
        logging.getLogger("hpa_sdk").info(DETAIL)
        yield from fields

    monkeypatch.setattr("hpa_sdk.cli.predict.find_all", find)
    command = (model, fields[0].files[0].parent, "-o", tmp_path / "out.csv", "--device", "cpu")
    return lambda *options: predict(*command, *options)


@pytest.mark.parametrize(
    ("options", "shown"), [((), set()), (("-v",), {WARNING, DETAIL}), (("-q",), set()), (("--log-file",), {WARNING})]
)
def test_the_terminal_shows_what_is_asked_for(
    run: object, tmp_path: Path, options: tuple[str, ...], shown: set[str]
) -> None:
    log = tmp_path / "протокол.log"
    assert callable(run)
    result: Result = run(*options, *((log,) if "--log-file" in options else ()))
    assert result.exit_code == 0, result.stderr
    assert {text for text in (WARNING, DETAIL) if text in result.stderr} == shown
    assert log.exists() == ("--log-file" in options)
    if log.exists():
        own = [line for line in lines_of(log) if line[1] in {WARNING, DETAIL}]
        assert own == [("WARNING", WARNING), ("INFO", DETAIL)]
    assert not logging.getLogger("hpa_sdk").handlers


def test_the_error_that_ends_a_command_is_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    for _ in range(2):  # it is appended to
        result = CliRunner().invoke(main, ["inspect", str(tmp_path / "gone.onnx"), "--log-file", str(log)])
        assert result.exit_code == 2
        assert result.stderr.count("gone.onnx: no such file") == 1
    assert [level for level, _ in lines_of(log)] == ["ERROR", "ERROR"]


def test_a_log_that_can_t_be_written_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--log-file", str(tmp_path / "gone" / "log.txt")])
    assert result.exit_code == 2
    assert "log.txt can't be written" in result.stderr
