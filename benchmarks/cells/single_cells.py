"""Adapts the starter to single cells: those of the collages of its training part that all show the same label."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from tqdm import tqdm

from benchmarks.cells.mixes import read_shares, split_collages
from hpa_sdk import Label, Sample
from hpa_sdk.adapt.adapt import adapt
from hpa_sdk.adapt.reviewed import TABLE
from hpa_sdk.cells.classical import ClassicalSegmenter
from hpa_sdk.cells.one_cell import alone_in_field
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Channel
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.adaptation import Adaptation
from hpa_sdk.models.contract import read_card
from hpa_sdk.models.model_names import resolve_model
from hpa_sdk.models.onnx_file import read_onnx


@dataclass(frozen=True, slots=True)
class CellModel:
    """The starter, adapted to single cells.

    Attributes
    ----------
    file : pathlib.Path
        Its file, for this measurement only.
    adaptation : Adaptation
        What its card says of the change.
    collages : int
        Collages that the cells are from.
    cells : dict of str to int
        Number of cells that show each label.
    """

    file: Path
    adaptation: Adaptation
    collages: int
    cells: dict[str, int]


def adapted_to_cells(folder: Path, work: Path) -> CellModel:
    """Adapt the starter with the code of ``hpa adapt``, once.

    Parameters
    ----------
    folder : pathlib.Path
        ``real_cells``.
    work : pathlib.Path
        Where the cells and the file are kept.
    """
    file, cells = work / "starter-cells.onnx", work / "single-cells"
    shares = read_shares(folder)
    fitted, _ = split_collages(folder)
    collages = [(one, label) for one in fitted if len(shares[one.id]) == 1 for label in shares[one.id]]
    if not (cells / TABLE).exists():
        _write_cells(cells, collages)
    if not file.exists():
        parent = resolve_model("starter").path
        adapt(parent, cells, file, device="cpu", name="starter for single cells", single_cells=True)
    made = read_card(read_onnx(file)).adaptation
    if made is None:
        raise RuntimeError(f"{file} is not adapted: delete it")
    with (cells / TABLE).open(encoding="utf-8", newline="") as table:
        counts = Counter(int(row["Target"]) for row in csv.DictReader(table))
    return CellModel(file, made, len(collages), {Label(label).hpa_name: counts[label] for label in sorted(counts)})


def _write_cells(out: Path, collages: Sequence[tuple[Sample, int]]) -> None:
    """Write each cell alone in its field, as ``hpa cells`` shows it to the model, and the table of labels."""
    out.mkdir(parents=True, exist_ok=True)
    segmenter, rows = ClassicalSegmenter(), []
    for sample, label in tqdm(collages, unit=" collages", disable=None):
        planes = read_planes(sample)
        found = segmenter.segment(planes, id=sample.id, pixel_size=None)
        for cell in found.cells:
            alone, _ = alone_in_field(planes, found.labels, cell, pixel_size=None, trained=None, where=sample.id)
            name = f"{sample.id}-cell{cell.number}"
            rows.append((name, label))
            for channel, plane in zip(Channel, alone.field(), strict=True):
                (out / f"{name}_{channel}.png").write_bytes(cv2.imencode(".png", plane)[1].tobytes())
    with atomic_write(out / TABLE) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("Id", "Target"), *rows])
