"""A finished run that exports in a moment."""

from pathlib import Path

import pytest

from tests.export.small_run import write_small_run


@pytest.fixture(scope="session")
def small_run(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a small network; do not write into it."""
    return write_small_run(tmp_path_factory.mktemp("small") / "run", simulated)
