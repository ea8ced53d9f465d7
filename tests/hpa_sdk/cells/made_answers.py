"""Makes answers for the cells of label images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.cell import CellAnswers, Segmentation
from hpa_sdk.cells.regions import cells_of
from hpa_sdk.errors import PlaneError
from hpa_sdk.files.file_state import FileState
from hpa_sdk.labels import HPA_2018, LabelScheme
from hpa_sdk.prediction import Failure, Prediction

FAILED = 3


def answers_of(
    labels: npt.NDArray[np.int32],
    *,
    id: str = "field 1",  # noqa: A002 - the field's own word
    scheme: LabelScheme = HPA_2018,
    pixel_size: float | None = 0.25,
    files: tuple[Path, ...] = (),
    seed: int = 0,
    found: tuple[str, ...] = ("2 cells in pieces",),
) -> CellAnswers:
    """Answer for the cells of a label image at random; the fourth of them fails. `found` says how they were found."""
    rng = np.random.default_rng(seed)
    cells = cells_of(labels, pixel_size)
    answers: list[Prediction | Failure] = []
    for at, cell in enumerate(cells):
        if at == FAILED:
            answers.append(Failure(f"{id} {cell.number}", PlaneError("no nucleus", where=id, remedy="Look at it.")))
            continue
        answers.append(
            Prediction.from_probabilities(
                rng.random(len(scheme)).astype(np.float32) ** 4,
                id=f"{id} {cell.number}",
                thresholds=np.full(len(scheme), 0.5, np.float32),
                embedding=rng.random(16).astype(np.float32),
                white=np.full(4, 255, np.float32),
                files=tuple(FileState.of(file) for file in files),
                notes=("read as it is",),
                scheme=scheme,
            )
        )
    segmentation = Segmentation(
        labels=labels, cells=cells, pixel_size=pixel_size, source="field 1_cells.tif", notes=found
    )
    return CellAnswers(id=id, segmentation=segmentation, answers=tuple(answers))
