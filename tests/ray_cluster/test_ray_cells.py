"""A cluster gives the rows of cells that one machine gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from PIL import Image
from tenacity import retry, stop_after_attempt

from hpa_sdk.cells.cells_file import read_cells
from hpa_sdk.cells.masks import MaskFolder
from hpa_sdk.cli import main
from hpa_sdk.errors import SettingError
from hpa_sdk.fields.finding import find_samples
from tests.hpa_sdk.cells.label_images import discs
from tests.small import make_field, make_model

ray: Any = pytest.importorskip("ray", reason="run by make test-ray, in an environment of its own")
Cluster: Any = pytest.importorskip("ray.cluster_utils").Cluster
integration: Any = pytest.importorskip("hpa_sdk.integrations.ray_cells")
COUNT = 30
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fields with masks beside them: one plane is damaged, one mask is missing, and one has no cells."""
    folder = tmp_path_factory.mktemp("cells")
    (folder / "masks").mkdir()
    rng = np.random.default_rng(2)
    for at in range(COUNT):
        make_field(folder / "fields", f"field-{at:02}", rng, side=64)
        labels = discs(0 if at == 9 else 5, side=64, radius=6, seed=at)
        if at != 7:
            Image.fromarray(labels.astype(np.uint8)).save(folder / "masks" / f"field-{at:02}.png")
    (folder / "fields" / "field-05_red.png").write_bytes(b"")
    make_model(folder / "small.onnx")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes, of one core each."""
    few = {"num_cpus": 1, "include_dashboard": False, "include_log_monitor": False}
    patiently = retry(stop=stop_after_attempt(3), reraise=True)
    cluster = patiently(Cluster)(initialize_head=True, head_node_args=few)
    patiently(cluster.add_node)(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def dataset(folder: Path, **options: Any) -> Any:
    """Return the cells of the folder's fields."""
    rows = [{"id": one.id, "files": [str(file) for file in one.files]} for one in find_samples(folder / "fields")]
    loading = {"model": str(folder / "small.onnx"), "device": "cpu", "threads": 1}
    masks = partial(MaskFolder, folder / "masks")
    return integration.cells_dataset(ray.data.from_items(rows), loading, segmenter=masks, **options)


@pytest.mark.usefixtures("cluster")
def test_rows_are_those_of_one_machine(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.parquet"
    command = ["cells", folder / "small.onnx", folder / "fields", "-o", alone, "--masks", folder / "masks"]
    result = CliRunner().invoke(main, [*map(str, command), "--device", "cpu"])
    assert result.exit_code == 1, result.output
    rows = integration.write_cells(dataset(folder), tmp_path / "cells.parquet")
    found = pyarrow.parquet.read_table(tmp_path / "cells.parquet")
    assert found == pyarrow.parquet.read_table(alone)
    assert found.num_rows == rows
    cells = list(read_cells(tmp_path / "cells.parquet"))
    assert [one.result.id for one in cells if one.cell is None] == ["field-05", "field-07", "field-09"]
    # All nodes write, each its own file.
    dataset(folder).write_parquet(str(tmp_path / "parts"))
    parts = pyarrow.parquet.read_table(tmp_path / "parts")
    assert sorted(parts["id"].to_pylist()) == sorted(found["id"].to_pylist())


@pytest.mark.usefixtures("cluster")
def test_the_command_writes_what_one_machine_writes(folder: Path, tmp_path: Path) -> None:
    def run(engine: str, out: str) -> Any:
        command = ["cells", folder / "small.onnx", folder / "fields", "-o", tmp_path / out, "--masks", folder / "masks"]
        command += ["--device", "cpu", "--engine", engine, "--resume", "--label-images", tmp_path / engine]
        return CliRunner().invoke(main, list(map(str, command)), catch_exceptions=False)

    results = {engine: run(engine, f"{engine}.csv") for engine in ("ray", "local")}
    assert [result.exit_code for result in results.values()] == [1, 1]
    for name in ("csv", "fields.csv"):
        assert (tmp_path / f"ray.{name}").read_bytes() == (tmp_path / f"local.{name}").read_bytes()
    assert len(list((tmp_path / "ray").iterdir())) == len(list((tmp_path / "local").iterdir())) == COUNT - 3
    made = [json.loads((tmp_path / f"{name}.csv.provenance.json").read_text("utf-8")) for name in ("ray", "local")]
    for fact in ("model", "counts", "devices", "thresholds"):
        assert made[0][fact] == made[1][fact]
    # One machine resumes what the cluster began.
    again = run("local", "ray.csv")
    assert f"{COUNT - 3} fields stood in the ledger" in again.stderr


@pytest.mark.usefixtures("cluster")
def test_a_cluster_without_room_is_reported(folder: Path) -> None:
    with pytest.raises(SettingError, match="no node of the cluster has room"):
        dataset(folder, cpus=64)
    command = ["cells", folder / "small.onnx", folder / "fields", "-o", folder / "out.csv", "--engine", "ray"]
    result = CliRunner().invoke(main, [*map(str, command), "--device", "cpu", "--threads", "64"])
    assert result.exit_code == 2
    assert "no node of the cluster has room" in result.stderr
