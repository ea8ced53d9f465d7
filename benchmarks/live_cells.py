"""Measures the live page with many cells on record: what it loads, and how soon it shows the cells of a field.

    python -m benchmarks.live_cells
    python -m benchmarks.live_cells --fields 1000 --cells 225

Each field is a picture of noise with squares as cells, whose answers are made at random. Times are those of Chromium on
this computer, which also runs the server.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live_page import headless_browser, made_result, serving
from hpa_sdk.cells.cell import CellAnswers, Segmentation
from hpa_sdk.cells.field_files import FieldFiles
from hpa_sdk.cells.regions import cells_of
from hpa_sdk.cells.summary import counts_of
from hpa_sdk.cells.writers import open_cell_writer
from hpa_sdk.files.file_state import FileState
from hpa_sdk.labels import Label
from hpa_sdk.prediction import Prediction
from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.workstation.field_cells import CELLS_FOLDER
from tests.hpa_sdk.cells.label_images import grid
from tests.small import make_field, make_model

_SIDE = 1024
_VISITS = 10
_PATHS = "#field .stage path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The results. Times are medians in seconds, with the longest; None without a browser."""

    fields: int
    cells: int
    list_bytes: int
    cells_bytes: int
    mixed_seconds: float
    open_seconds: tuple[float, float] | None = None
    next_seconds: tuple[float, float] | None = None
    choose_seconds: tuple[float, float] | None = None
    filter_seconds: tuple[float, float] | None = None


def main() -> None:
    """Measure, and print the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, default=100)
    parser.add_argument("--cells", type=int, default=225, help="cells of a field")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cells = _make(folder, options.fields, options.cells)
        with serving(folder / "station.toml", "--no-watch") as (_, port):
            mixed = _seconds(_get, port, "/results?mixed=true&count=100")
            found = Found(
                fields=options.fields,
                cells=cells,
                list_bytes=len(_get(port, "/results?count=100")),
                cells_bytes=len(_get(port, "/cells/field-0")),
                mixed_seconds=mixed,
            )
            found = _look(f"http://127.0.0.1:{port}/", found)
    sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n")


def _make(folder: Path, fields: int, cells: int) -> int:
    make_model(folder / "small.onnx")
    (folder / "station.toml").write_text(
        'model = "small.onnx"\nwatch = "exports"\noutput = "answers"\ndevice = "cpu"\n'
        '[cells]\n[files]\npattern = "hpa"\n',
        encoding="utf-8",
    )
    rng = np.random.default_rng(1)
    labels = grid(side=_SIDE, cells=round(cells**0.5), gap=4)
    segmentation = Segmentation(labels=labels, cells=cells_of(labels, None), pixel_size=None, source="squares")
    files = FieldFiles(folder / "answers" / CELLS_FOLDER)
    (folder / "answers").mkdir()
    (folder / "exports").mkdir()
    with ResultStore(folder / "answers") as store:
        for at in range(fields):
            sample = make_field(folder / "exports", f"field-{at}", rng, side=_SIDE)
            states = tuple(FileState.of(file) for file in sample.files)
            answers = CellAnswers(
                id=sample.id,
                segmentation=segmentation,
                answers=tuple(_answer(sample.id, states, rng) for _ in segmentation.cells),
            )
            with open_cell_writer(files.path(sample.id, ".csv"), "csv") as table:
                table.write(answers)
            result = replace(made_result(at, rng), cells=counts_of(answers), files=tuple(one.path for one in states))
            store.add(replace(result, stamps=tuple(one.stamp for one in states)))
    return fields * len(segmentation.cells)


def _answer(name: str, files: tuple[FileState, ...], rng: np.random.Generator) -> Prediction:
    return Prediction.from_probabilities(
        rng.random(len(Label)).astype(np.float32) ** 4,
        id=name,
        thresholds=np.full(len(Label), 0.5, np.float32),
        embedding=np.zeros(0, np.float32),
        white=np.full(4, 255, np.float32),
        files=files,
    )


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    content = connection.getresponse().read()
    connection.close()
    return content


def _seconds(act: Callable[..., object], *arguments: object) -> float:
    began = time.monotonic()
    act(*arguments)
    return round(time.monotonic() - began, 3)


def _look(url: str, found: Found) -> Found:
    with headless_browser() as browser:
        if browser is None:
            return found
        times: dict[str, list[float]] = {"open": [], "next": [], "choose": [], "filter": []}
        for _ in range(_VISITS):
            visit = browser.new_page()
            times["open"].append(_seconds(_open, visit, url))
            visit.locator("#follow").click()
            for number in (5, 20, 40):
                times["next"].append(_seconds(_next, visit, number))
            times["choose"].append(_seconds(_choose, visit))
            times["filter"].append(_seconds(_filter, visit))
            visit.close()
    opened, following, chosen, filtered = ((round(statistics.median(taken), 2), max(taken)) for taken in times.values())
    return replace(found, open_seconds=opened, next_seconds=following, choose_seconds=chosen, filter_seconds=filtered)


def _open(visit: Any, url: str) -> None:  # noqa: ANN401 - playwright may be absent
    visit.goto(url)
    visit.locator(_PATHS).first.wait_for()


def _next(visit: Any, number: int) -> None:  # noqa: ANN401 - as above
    option = visit.locator("[role=option]").nth(number)
    name = option.locator("bdi").get_attribute("title")
    option.click()
    visit.locator(f"#field .field-id span[title='{name}']").wait_for()
    visit.locator(_PATHS).first.wait_for()


def _choose(visit: Any) -> None:  # noqa: ANN401 - as above
    visit.locator(_PATHS).nth(50).click()
    visit.locator(".cell caption").wait_for()


def _filter(visit: Any) -> None:  # noqa: ANN401 - as above
    with visit.expect_response("**/results*mixed=true*"):
        visit.locator("#show").select_option("mixed=true")


if __name__ == "__main__":
    main()
