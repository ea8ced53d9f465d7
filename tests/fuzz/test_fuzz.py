"""Every input is accepted or ends in a reported error, soon and in bounded memory."""

from __future__ import annotations

import random
import time
import tracemalloc
from pathlib import Path

import pytest

from hpa_sdk.errors import HpaError
from tests.fuzz.targets import Target, targets

SECONDS = 5  # of a processor: a busy machine is no hang
INPUTS = {"stacks": 60, "samples": 80, "sessions": 10}
TARGETS = targets()


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param]


@pytest.mark.filterwarnings("ignore")  # decoders warn of what is damaged
def test_damaged_input_is_accepted_or_reported(request: pytest.FixtureRequest, target: Target, tmp_path: Path) -> None:
    name = request.node.callspec.params["target"]
    for number in range(INPUTS.get(name, 200)):
        content = target.make(random.Random(f"short {number}"))  # noqa: S311 - chance, not secrecy
        started = time.process_time()
        target.feed(content, tmp_path)
        assert time.process_time() - started < SECONDS


def test_what_is_fed_is_really_read(target: Target, tmp_path: Path) -> None:
    """Otherwise the fuzz test would only reach the first check."""
    assert target.feed(target.seeds[0], tmp_path)


NESTED = b"[" * 100_000
BOMB = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x00\x00\x00\x00\xa2\x9b\x1b\x8f"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cards", b'{"x":' + NESTED),
        ("stations", b"model = " + NESTED),
        ("tables", b'Id\n"' + b"a" * 2_000_000),
        ("planes", BOMB),
        ("planes", b"II*\x00" + b"\xff" * 60),
        ("models", b"\x3a\xff\xff\xff\xff\x0f" + b"\0" * 100),
        ("models", b"\x3a\x02\x0a\x00" * 50_000),
    ],
)
def test_saved_seeds_are_reported_in_little_time_and_memory(name: str, content: bytes, tmp_path: Path) -> None:
    target = TARGETS[name]
    path = tmp_path / target.name
    path.write_bytes(content)
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(HpaError):
            target.read(path)
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < SECONDS


def test_a_stack_that_names_errors_without_end_is_refused_soon(tmp_path: Path) -> None:
    target = TARGETS["stacks"]
    started = time.process_time()
    assert not target.feed((Path(__file__).parent / "stack_of_endless_errors.tif").read_bytes(), tmp_path)
    assert time.process_time() - started < SECONDS
