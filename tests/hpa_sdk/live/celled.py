"""Stores results of fields with a table of their cells, as a watched folder does, and asks for the cells of results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np

from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.field_files import FieldFiles
from hpa_sdk.cells.summary import counts_of
from hpa_sdk.cells.writers import open_cell_writer
from hpa_sdk.fields.samples import Sample
from hpa_sdk.files.file_state import FileState
from hpa_sdk.prediction import Prediction
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.field_cells import CELLS_FOLDER
from hpa_sdk.workstation.station import Cells, Station
from tests.hpa_sdk.cells.label_images import discs
from tests.hpa_sdk.cells.made_answers import answers_of
from tests.hpa_sdk.live.serving import Page
from tests.small import make_field


def with_cells(station: Station) -> Station:
    """Return a station that answers for cells."""
    return msgspec.structs.replace(station, cells=Cells())


def add_field(
    station: Station, name: str, cells: int = 12, seed: int = 0, notes: tuple[str, ...] = ("2 cells in pieces",)
) -> CellAnswers:
    """Write a field of noise and store its answer, and answers for cells in it."""
    rng = np.random.default_rng(seed)
    labels = discs(cells)
    sample = make_field((station.watch / name).parent, Path(name).name, rng, side=labels.shape[0])
    answers = answers_of(labels, id=name, seed=seed, found=notes)
    write_table(station.output, answers)
    whole = Prediction.from_probabilities(
        rng.random(28).astype(np.float32),
        id=name,
        thresholds=np.full(28, 0.5, np.float32),
        embedding=np.zeros(0, np.float32),
        white=np.full(4, 255, np.float32),
        files=tuple(FileState.of(file) for file in sample.files),
    )
    result = Result.of(whole, model_sha256="0" * 64, device="cpu")
    with ResultStore(station.output) as store:
        store.add(replace(result, cells=counts_of(answers)))
    return answers


def write_table(output: Path, answers: CellAnswers) -> Path:
    """Write the table of a field, in place of an earlier one."""
    table = FieldFiles(output / CELLS_FOLDER).path(answers.id, ".csv")
    with open_cell_writer(table, "csv") as writer:
        writer.write(answers)
    return table


def sent(page: Page, sample: Sample) -> Any:
    """Send a field, and return its result."""
    response = page.send(*sample.files)
    assert response.status_code == 200, response.text
    return response.json()["results"][0]


def cells(page: Page, result: Any) -> Any:
    """Ask for the cells of a result."""
    return page.get(f"/cells/{quote(result['id'])}", number=result["number"], store=result["store"])["cells"]


def tables(page: Page) -> list[Path]:
    """List all files in the folder of the tables."""
    return [file for file in (page.station.output / CELLS_FOLDER).rglob("*") if file.is_file()]
