"""What tests of every room share: small models of the real contract, small fields, and the real data if it is here."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from export.__main__ import main as export_command
from export.parity import LEAST_SAMPLES
from hpa_sdk.samples import Sample
from tests.small import make_field, make_model
from training.__main__ import main as training_command
from training.networks import NETWORK_NAMES
from training.simulation import simulate

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ONNX file of the contract."""
    return make_model(tmp_path_factory.mktemp("model") / "small.onnx")


@pytest.fixture
def fields(tmp_path: Path) -> list[Sample]:
    """Five small fields in one folder."""
    rng = np.random.default_rng(7)
    folder = tmp_path / "fields"
    return [make_field(folder, f"field-{number}", rng) for number in range(5)]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures that ``HPA_REAL_DATA`` names; the test is skipped where there is none."""
    folder = Path(os.environ.get("HPA_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "real_cells").is_dir():
        pytest.skip(f"no real data at {folder}; set HPA_REAL_DATA")
    return folder


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of simulated fields in the Kaggle form, as many as a parity figure needs."""
    folder = tmp_path_factory.mktemp("data") / "simulated"
    simulate(folder, count=LEAST_SAMPLES, seed=3, size=128, workers=1)
    return folder


@pytest.fixture(scope="session", params=NETWORK_NAMES)
def run(request: pytest.FixtureRequest, simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of each real network, fitted for a step a stage."""
    folder = tmp_path_factory.mktemp("runs") / str(request.param)
    arguments = f"fit {simulated} --network {request.param} --out {folder} --weights none --seed 5"
    sizes = "--epochs 1 --steps 1 --batch-size 2 --validation-fields 3"
    result = CliRunner().invoke(training_command, [*arguments.split(), *sizes.split()], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session")
def exported(run: Path) -> Path:
    """The ONNX file of each real network."""
    path = run.with_suffix(".onnx")
    result = CliRunner().invoke(export_command, ["onnx", str(run), "-o", str(path)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return path
