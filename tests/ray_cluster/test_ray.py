"""A cluster gives the answers of one machine, even if one of its nodes dies during the run."""

from __future__ import annotations

import json
import re
import runpy
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result
from tenacity import retry, stop_after_attempt

from hpa_sdk.cli import main
from hpa_sdk.fields.finding import find_samples
from tests.object_stores import bucket
from tests.small import make_field, make_model

ray: Any = pytest.importorskip("ray", reason="run by make test-ray, in an environment of its own")
Cluster: Any = pytest.importorskip("ray.cluster_utils").Cluster
integration: Any = pytest.importorskip("hpa_sdk.integrations.ray")
COUNT = 600
ROOT = Path(__file__).parents[2]
# A node gives up when its agent is not there within 15 seconds, which no setting changes (ray-project/ray#65983), but
# which a second try, with everything read from the disk, mostly meets.
patiently = retry(stop=stop_after_attempt(3), reraise=True)
# Ray warns of its own settings when it makes them.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")


def predict(*arguments: object) -> Result:
    command = ["predict", "--device", "cpu", *map(str, arguments)]
    return CliRunner().invoke(main, command, catch_exceptions=False)


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
    assert predict(model, folder, "-o", out).exit_code == 1
    return out.read_bytes()


@pytest.fixture(scope="module")
def buckets() -> Iterator[Mapping[str, str]]:
    """Object stores on this machine, known by the environment, which the nodes inherit."""
    with bucket("s3") as s3, bucket("gs") as gs:
        yield {"s3": s3, "gs": gs}


@pytest.fixture(scope="module")
def cluster(buckets: Mapping[str, str]) -> Iterator[Any]:  # noqa: ARG001 - the nodes inherit where it is
    """One node, of one core."""
    # As few processes as will do: each takes a second of processor time to start.
    few = {"num_cpus": 1, "include_dashboard": False, "include_log_monitor": False}
    cluster = patiently(Cluster)(initialize_head=True, head_node_args=few)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


class Watched:
    """An actor that writes down what it begins, and at first waits for another node to begin too."""

    def __init__(self, options: Mapping[str, Any], schema: pa.Schema) -> None:
        self._actor = integration._FieldActor(options, schema)
        self._begun = Path(options["model"][0]).parent / "begun"

    def __call__(self, fields: pa.Table) -> pa.Table:
        (self._begun / f"{ray.get_runtime_context().get_node_id()} {fields['id'][0]}").touch()
        deadline = time.monotonic() + 120
        while len(begun(self._begun)) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)  # so that a node which dies is at work
        return self._actor(fields)


def begun(folder: Path) -> dict[str, set[str]]:
    """Return what each node began."""
    nodes: dict[str, set[str]] = {}
    for file in folder.iterdir():
        node, first = file.name.split()
        nodes.setdefault(node, set()).add(first)
    return nodes


def test_a_node_that_dies_changes_nothing(
    cluster: Any, model: Path, folder: Path, alone: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.csv"
    calls = model.parent / "begun"
    calls.mkdir()
    second = patiently(cluster.add_node)(num_cpus=1)
    cluster.wait_for_nodes()
    answers: Any = integration.RayPredictor._answers

    def kill_at_the_first(self: Any, table: pa.Table) -> Any:
        if second in cluster.worker_nodes:
            cluster.remove_node(second, allow_graceful=False)
        return answers(self, table)

    monkeypatch.setattr(integration, "_FieldActor", Watched)
    monkeypatch.setattr(integration.RayPredictor, "_answers", kill_at_the_first)
    result = predict(model, folder, "--engine", "ray", "-o", out, "--resume")
    assert result.exit_code == 1
    assert out.read_bytes() == alone
    nodes = begun(calls)
    assert len(nodes) == 2
    assert nodes.pop(second.node_id).intersection(*nodes.values()), "nothing that the dead node began was done again"
    counts = json.loads(out.with_name("out.csv.provenance.json").read_text(encoding="utf-8"))["counts"]
    assert counts == {"fields": COUNT, "failed": 2, "recalled": 0, "changed": 0, "remeasured": 0, "warned": 0}
    # A single machine resumes where the cluster ended.
    again = predict(model, folder, "-o", out, "--resume")
    assert f"{COUNT - 2} answers stood in the ledger" in again.stderr
    assert out.read_bytes() == alone


@pytest.mark.usefixtures("cluster")
def test_a_stopped_run_resumes(model: Path, folder: Path, alone: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    arguments = [model, folder, "--engine", "ray", "-o", out, "--resume"]
    assert predict(*arguments, "--on-error", "stop").exit_code == 1
    assert not out.exists()
    found = re.search(r"(\d+) answers stood in the ledger", predict(*arguments).stderr)
    assert found is not None
    assert 0 < int(found[1]) < COUNT - 2
    assert out.read_bytes() == alone


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("protocol", ["s3", "gs"])
def test_fields_of_a_bucket_become_parquet(
    model: Path, folder: Path, buckets: Mapping[str, str], protocol: str, tmp_path: Path
) -> None:
    address = buckets[protocol]
    files: Any = fsspec.filesystem(protocol)
    for file in [*folder.glob("field-009?_*"), *folder.glob("field-010?_*")]:
        files.pipe(f"{address}/{file.name}", file.read_bytes())
    for engine in ("ray", "local"):
        assert predict(model, address, "--engine", engine, "-o", tmp_path / f"{engine}.parquet").exit_code == 1
    found, expected = (pyarrow.parquet.read_table(tmp_path / f"{engine}.parquet") for engine in ("ray", "local"))
    assert found.num_rows == 20
    assert found == expected


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
def test_the_example_resumes_after_a_stop(
    model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "ray_fields.py"))["main"]
    out = tmp_path / "out"
    torn = out / "_part-0000000" / "torn.parquet"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"PAR1")
    example(str(model), str(folder), str(out))
    assert f"{COUNT} fields predicted" in capsys.readouterr().out
    rows = pyarrow.parquet.read_table(out).to_pylist()
    assert sorted(row["id"] for row in rows) == [f"field-{number:04}" for number in range(COUNT)]
    assert sorted(row["id"] for row in rows if row["error"]) == ["field-0100", "field-0200"]
    example(str(model), str(folder), str(out))
    assert "0 fields predicted" in capsys.readouterr().out


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("option", [("--threads", 64), ("--device", "cuda")])
def test_a_cluster_without_enough_resources_is_reported(
    model: Path, folder: Path, tmp_path: Path, option: tuple[object, ...]
) -> None:
    result = predict(model, folder, "--engine", "ray", "-o", tmp_path / "out.csv", *option)
    assert result.exit_code == 2
    assert "no node of the cluster has room" in result.stderr


@pytest.mark.usefixtures("cluster")
def test_a_model_that_can_t_be_opened_is_reported(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "none.onnx").write_bytes(b"none")
    result = predict(tmp_path / "none.onnx", folder, "--engine", "ray", "-o", tmp_path / "out.csv")
    assert result.exit_code == 2
    assert "no ONNX model" in result.stderr
