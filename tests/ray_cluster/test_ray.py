"""A cluster finds what one machine finds, also when one of its nodes dies on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from hpa_sdk.cli import main
from hpa_sdk.samples import find_samples
from tests.small import make_field, make_model

ray: Any = pytest.importorskip("ray", reason="run by make test-ray, in an environment of its own")
Cluster: Any = pytest.importorskip("ray.cluster_utils").Cluster
integration: Any = pytest.importorskip("hpa_sdk.integrations.ray")
COUNT = 600


def predict(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["predict", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "small.onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fields")
    rng = np.random.default_rng(2)
    for number in range(COUNT):
        make_field(folder, f"field-{number:04}", rng, side=32)
    (folder / "field-0100_red.png").write_bytes(b"")
    (folder / "field-0200_blue.png").unlink()
    return folder


@pytest.fixture(scope="module")
def alone(model: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What one machine writes."""
    out = tmp_path_factory.mktemp("alone") / "out.csv"
    assert predict(model, folder, "-o", out, "--device", "cpu").exit_code == 1
    return out.read_bytes()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Two nodes: one that is the head and works too, and one that can die."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_a_node_that_dies_changes_nothing(
    cluster: Cluster, model: Path, folder: Path, alone: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.csv"
    answers: Any = integration.RayPredictor._answers
    dead: list[bool] = []

    def kill_at_the_first(self: Any, table: pa.Table) -> Any:
        if not dead:
            cluster.remove_node(cluster.second, allow_graceful=False)
            dead.append(True)
        return answers(self, table)

    monkeypatch.setattr(integration.RayPredictor, "_answers", kill_at_the_first)
    result = predict(model, folder, "--engine", "ray", "-o", out, "--device", "cpu", "--resume")
    assert result.exit_code == 1
    assert out.read_bytes() == alone
    assert dead
    counts = json.loads(out.with_name("out.csv.provenance.json").read_text(encoding="utf-8"))["counts"]
    assert counts == {"fields": COUNT, "failed": 2, "recalled": 0, "changed": 0}
    # And a single machine goes on where the cluster ended.
    again = predict(model, folder, "-o", out, "--device", "cpu", "--resume")
    assert f"{COUNT - 2} answers stood in the ledger" in again.stderr
    assert out.read_bytes() == alone


@pytest.mark.usefixtures("cluster")
def test_a_dataset_becomes_parquet_with_failures_as_rows(model: Path, folder: Path, tmp_path: Path) -> None:
    rows = [{"id": each.id, "files": [str(file) for file in each.files]} for each in find_samples(folder)][90:220]
    options = {"model": str(model), "device": "cpu", "threads": 1}
    integration.predict_dataset(ray.data.from_items(rows), options).write_parquet(str(tmp_path / "answers"))
    found = pyarrow.parquet.read_table(tmp_path / "answers").to_pylist()
    assert sorted(row["id"] for row in found) == [row["id"] for row in rows]
    assert sorted(row["id"] for row in found if row["error"]) == ["field-0100", "field-0200"]
    assert all(len(row["probabilities"]) == 28 for row in found if not row["error"])


@pytest.mark.usefixtures("cluster")
def test_a_model_that_can_t_be_opened_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "none.onnx").write_bytes(b"none")
    result = predict(tmp_path / "none.onnx", folder, "--engine", "ray", "-o", tmp_path / "out.csv")
    assert result.exit_code == 2
    assert "no ONNX model" in result.stderr
