"""What the tests of adaptation share: reviewed fields, others to judge on, and a model adapted to the first."""

from pathlib import Path

import pytest

from hpa_sdk.adapt.adapt import adapt
from tests.hpa_sdk.adapt.reviewed_fields import write_reviewed
from tests.small import make_model_with_checksum


@pytest.fixture(scope="package")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reviewed(tmp_path_factory.mktemp("reviewed") / "lab")


@pytest.fixture(scope="package")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reviewed(tmp_path_factory.mktemp("others") / "lab", seed=1)


@pytest.fixture(scope="package")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_with_checksum(tmp_path_factory.mktemp("model") / "parent.onnx")


@pytest.fixture(scope="package")
def adapted(parent: Path, reviewed: Path) -> Path:
    out = parent.with_name("own.onnx")
    adapt(parent, reviewed, out, device="cpu")
    return out
