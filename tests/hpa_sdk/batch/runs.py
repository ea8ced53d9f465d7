"""Runs ``hpa predict`` as a user does, in this process or in one that can be killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from hpa_sdk.cli import main
from hpa_sdk.fields.samples import Sample
from tests.small import make_field

RESUMED = ("--resume", "--device", "cpu", "--threads", "1")


def predict(model: Path, *arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, ["predict", *map(str, (model, *arguments))], catch_exceptions=False)


def start(model: Path, *arguments: object) -> subprocess.Popen[bytes]:
    """Start the command in a process of its own."""
    command = [sys.executable, "-m", "hpa_sdk.cli", "predict", *map(str, (model, *arguments))]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Kill a process as hard as the system can, and say whether it was still at work."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    killed = process.poll() is None
    process.kill()  # SIGKILL, and TerminateProcess on Windows
    process.communicate()
    return killed


def make_fields(folder: Path, count: int, *, side: int = 32, seed: int = 5) -> list[Sample]:
    """Write small fields."""
    rng = np.random.default_rng(seed)
    return [make_field(folder, f"field-{number:05}", rng, side=side) for number in range(count)]
