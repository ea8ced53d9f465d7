"""What the tests of adaptation share: reviewed fields, others to judge on, and a model adapted to the first."""

from pathlib import Path

import pytest

from hpa_sdk.adapt.adapt import adapt
from hpa_sdk.models.model_card import Parity
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
    parity = Parity(samples=8, max_difference=0.0, mean_difference=0.0, same_label_sets=1.0)
    return make_model_with_checksum(tmp_path_factory.mktemp("model") / "parent.onnx", parity=parity)


@pytest.fixture(scope="package")
def adapted(parent: Path, reviewed: Path) -> Path:
    out = parent.with_name("own.onnx")
    adapt(parent, reviewed, out, device="cpu")
    return out
