"""Tests the files that hpa cells writes for other programs, and that its label images are masks of a later run."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result

from hpa_sdk.cells.cells_file import read_cells
from hpa_sdk.cli import main
from hpa_sdk.models.onnx_file import file_sha256
from tests.conftest import STARTER
from tests.starter import FIELDS

pytestmark = pytest.mark.slow


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["cells", *map(str, arguments)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fields, their cells, and all files of these."""
    folder = tmp_path_factory.mktemp("exports")
    (folder / "fields").mkdir()
    for file in sorted(FIELDS.glob("*.png"))[:8]:
        shutil.copy(file, folder / "fields")
    done = _run(
        *("starter", folder / "fields", "-o", folder / "cells.parquet", "--label-images", folder / "labels"),
        *("--geojson", folder / "geojson", "--crops", folder / "crops", "--crop-size", 200, "--masked-crops"),
        *("--h5ad", folder / "cells.h5ad"),
    )
    assert done.exit_code == 0, done.output
    return folder


def test_every_file_has_every_cell(made: Path) -> None:
    cells = list(read_cells(made / "cells.parquet"))
    assert len(cells) > 8
    ids = sorted({cell.result.id for cell in cells})
    assert len(ids) == 2
    for name in ids:
        numbers = [cell.cell.number for cell in cells if cell.result.id == name and cell.cell is not None]
        labels = tifffile.imread(made / "labels" / f"{name}_cells.ome.tif")
        assert (np.unique(labels)[1:] == numbers).all()
        features = json.loads((made / "geojson" / f"{name}.geojson").read_text("utf-8"))["features"]
        assert [int(feature["properties"]["metadata"]["cell"]) for feature in features] == numbers
    with (made / "crops" / "path_list.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(cells)
    assert all((made / "crops" / path).is_file() for row in rows for path in list(row.values())[:4])
    data: Any = anndata.read_h5ad(made / "cells.h5ad")
    assert data.n_obs == len(cells)
    assert data.X.shape[1] == len(cells[0].embedding) > 0
    assert data.uns["model"]["sha256"] == file_sha256(STARTER)


def test_label_images_are_masks_of_a_later_run(made: Path) -> None:
    again = made / "again.parquet"
    assert _run("starter", made / "fields", "-o", again, "--masks", made / "labels").exit_code == 0
    before, after = list(read_cells(made / "cells.parquet")), list(read_cells(again))
    assert [cell.cell for cell in after] == [cell.cell for cell in before]
    assert [cell.result.probabilities for cell in after] == [cell.result.probabilities for cell in before]
    assert {cell.segmentation for cell in after} == {f"{cell.result.id}_cells.ome.tif" for cell in after}


def test_a_field_without_files_costs_no_row(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "fields", tmp_path / "a")
    first = sorted((tmp_path / "a").iterdir())[:4]
    (tmp_path / "b").mkdir()
    for file in first:
        shutil.copy(file, tmp_path / "b" / file.name.upper().replace(".PNG", ".png").replace(*_colours(file)))
    done = _run("starter", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "cells.csv", "--geojson", tmp_path / "g")
    assert done.exit_code == 1
    assert "has no files for other programs: " in done.output
    assert len({cell.result.id for cell in read_cells(tmp_path / "cells.csv")}) == 3
    assert len(list((tmp_path / "g").iterdir())) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits whole paths, not names alone")
def test_an_id_too_long_for_files_costs_no_row(made: Path, tmp_path: Path) -> None:
    (tmp_path / "fields").mkdir()
    for file in sorted((made / "fields").iterdir()):
        shutil.copy(file, tmp_path / "fields" / file.name)
        shutil.copy(file, tmp_path / "fields" / f"{'x' * 240}_{file.stem.rpartition('_')[2]}.png")
    files = ("--label-images", tmp_path / "labels", "--geojson", tmp_path / "g", "--crops", tmp_path / "c")
    done = _run("starter", tmp_path / "fields", "-o", tmp_path / "cells.csv", *files)
    assert done.exit_code == 1
    assert f"{'x' * 240} has no files for other programs: " in done.output
    assert len({cell.result.id for cell in read_cells(tmp_path / "cells.csv")}) == 3
    assert len(list((tmp_path / "labels").iterdir())) == 2


def _colours(file: Path) -> tuple[str, str]:
    colour = file.stem.rpartition("_")[2]
    return colour.upper(), colour


def test_h5ad_needs_embeddings(tmp_path: Path) -> None:
    done = _run("starter", FIELDS, "-o", tmp_path / "cells.csv", "--h5ad", tmp_path / "cells.h5ad")
    assert done.exit_code == 2
    assert "only Parquet has" in done.output
