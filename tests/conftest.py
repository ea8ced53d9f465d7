"""What tests of every package share: small models of the real contract, small fields, and real data if it is here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest

from hpa_sdk.fields.samples import Sample
from tests.small import make_field, make_model
from training.network_forms import STUDY_NETWORKS, NetworkName
from training.simulation import simulate

FIELDS = 64
COMPARED = 16
"""Fields on which an exported real network is compared with Keras; ``make demo-training`` compares 64."""

ROOT = Path(__file__).parents[1]
STARTER = ROOT / "hpa_sdk" / "models" / "starter.onnx"


def pytest_sessionstart() -> None:
    """Let Ctrl-C reach the tests also where a shell started them in the background, and so without it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Say what stays in one process: tests that share what is costly to make.

    Tests of the real networks are slow. They come first, so that no other process has to wait for them at the end.
    """
    for item in items:
        of_real_networks = "real_networks" in item.fixturenames
        item.add_marker(pytest.mark.xdist_group("real networks" if of_real_networks else str(item.path)))
        if of_real_networks:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: "real_networks" not in item.fixturenames)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the starter model, which tests may replace, damage or remove."""
    return copyfile(STARTER, tmp_path_factory.mktemp("model") / "starter.onnx")


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hand-made ONNX file with the study's input, three colours at 299 x 299, and a card of few words."""
    return make_model(tmp_path_factory.mktemp("small_model") / "small.onnx")


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
    """A folder of simulated fields in the Kaggle form."""
    folder = tmp_path_factory.mktemp("data") / "simulated"
    simulate(folder, count=FIELDS, seed=3, size=128, workers=1)
    return folder


class RealNetworks:
    """Both real networks, fitted for a step a stage and exported; each made once, when a test first asks."""

    def __init__(self, data: Path, folder: Path) -> None:
        self._data = data
        self._folder = folder

    def run(self, name: NetworkName) -> Path:
        """Return the run folder of a network."""
        folder = self._folder / name
        if folder.exists():
            return folder
        sizes = "--weights none --seed 5 --epochs 1 --steps 1 --batch-size 2 --validation-fields 3"
        sizes += " --reference-fields 20"
        run_command("tests.eager_training", "fit", self._data, "--network", name, "--out", folder, *sizes.split())
        return folder

    def exported(self, name: NetworkName) -> Path:
        """Return the ONNX file of a network."""
        path = self._folder / f"{name}.onnx"
        if not path.exists():
            run_command("export", "onnx", self.run(name), "-o", path, "--count", COMPARED)
        return path


def run_command(package: str, *arguments: object) -> None:
    """Run a command in a process of its own, which gives back the gigabytes that a fit and a conversion take."""
    completed = subprocess.run(
        [sys.executable, "-m", package, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert completed.returncode == 0, completed.stdout


@pytest.fixture(scope="session")
def real_networks(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> RealNetworks:
    return RealNetworks(simulated, tmp_path_factory.mktemp("runs"))


@pytest.fixture(params=STUDY_NETWORKS)
def network_name(request: pytest.FixtureRequest) -> NetworkName:
    """Each real network; a test that needs one alone says so by ``parametrize``."""
    name: NetworkName = request.param
    return name


@pytest.fixture
def run(network_name: NetworkName, real_networks: RealNetworks) -> Path:
    """The run folder of a real network."""
    return real_networks.run(network_name)


@pytest.fixture
def exported(network_name: NetworkName, real_networks: RealNetworks) -> Path:
    """The ONNX file of a real network."""
    return real_networks.exported(network_name)
