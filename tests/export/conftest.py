"""Small things to export from, and files to make variants of."""

from pathlib import Path

import pytest

from export.quantization import search
from hpa_sdk import Label
from tests.export.small_run import write_small_run
from tests.export.spread_network import answers, write_fields, write_labels, write_network


@pytest.fixture(scope="session")
def small_run(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a small network; do not write into it."""
    return write_small_run(tmp_path_factory.mktemp("small") / "run", simulated)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fields on which the small convolutional network's answers are far apart."""
    return write_fields(tmp_path_factory.mktemp("fields") / "felder-ä", 96)


@pytest.fixture(scope="session")
def parent(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fp32 file; the table beside the fields holds its own label sets, so that its F1 is 1."""
    half = (0.5,) * len(Label)
    path = write_network(tmp_path_factory.mktemp("network") / "parent.onnx", folder, thresholds=half)
    write_labels(folder, answers(path, folder) >= 0.5)
    return path


@pytest.fixture
def one_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try the first plan alone, since what is tested does not depend on the others."""
    monkeypatch.setattr(search, "_alternatives", lambda _: iter(()))
