"""Makes napari layers of the cells of a field, in the colours of their labels; needs neither napari nor a screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.cells_file import read_cells
from hpa_sdk.cells.mask_file import read_labels
from hpa_sdk.cells.outlines import UNLABELLED, colour_of
from hpa_sdk.cells.summary import summarize
from hpa_sdk.errors import SettingError
from hpa_sdk.fields.planes import plane_errors
from hpa_sdk.fields.rules import FieldRules, Files
from hpa_sdk.prediction import Failure
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import Planes, White
from hpa_sdk.results.result import Result

_OPAQUE = 1.0

LayerData = tuple[npt.NDArray[np.int32], dict[str, Any], str]
"""What ``napari.layers.Layer.create(*layer)`` takes: data, options and type."""


def cells_layer(label_image: Path, cells: Path, id: str) -> LayerData:  # noqa: A002 - the field's own word
    """Make a layer of type ``labels``: each cell in the colour of its label with the highest probability.

    Its features, which napari shows under the mouse, have a row for each cell: ``index``, ``labels``, ``error`` and the
    probability of each class.

    Parameters
    ----------
    label_image : pathlib.Path
        The label image of the field.
    cells : pathlib.Path
        The rows of cells.
    id : str
        The field's id.

    Raises
    ------
    PlaneError, TableError
        A file can't be read.
    SettingError
        The rows have no cell of the field, or a cell that the label image does not have.
    """
    with plane_errors(label_image):
        labels, pixel_size, _, _ = read_labels(label_image)
    found = [one for one in read_cells(cells) if one.cell is not None and one.result.id == id]
    if not found:
        raise SettingError(f"it has no cell of the field {id!r}", where=cells, remedy="Name a field of the rows.")
    numbers = [one.cell.number for one in found if one.cell is not None]
    if missing := sorted(set(numbers) - set(np.unique(labels).tolist())):
        raise SettingError(
            f"the cell {missing[0]} of {id!r} is not in the label image",
            where=label_image,
            remedy="Name the label image that hpa cells wrote, or read, with these rows.",
        )
    options = _options(id, [(number, one.result) for number, one in zip(numbers, found, strict=True)])
    if pixel_size is not None:
        options |= {"scale": (pixel_size, pixel_size), "units": ("um", "um")}
    return labels, options, "labels"


def answer_cells(
    predictor: Predictor, planes: Planes, *, white: White | None, pixel_size: float | None, name: str
) -> CellAnswers:
    """Find the cells of planes in memory, and answer for each of them.

    Parameters
    ----------
    predictor : Predictor
        The predictor; no other thread may use it at this time.
    planes : numpy.ndarray
        uint8 or uint16 of shape (4, H, W).
    white : optional
        As for `hpa_sdk.Predictor.load`.
    pixel_size : float or None
        Micrometres a pixel.
    name : str
        Name of the field in messages.

    Raises
    ------
    PlaneError
        The planes can't be answered, such as 16-bit ones without a white level.
    SettingError
        The packages for segmentation are not installed.
    DeviceError
        The device failed.
    """
    rules = FieldRules(files=Files(pixel_size=pixel_size))
    before, predictor.white = predictor.white, white
    try:
        (answers,) = predictor.cells([planes], rules=rules)
    finally:
        predictor.white = before
    if isinstance(answers, Failure):
        raise answers.error
    return replace(answers, id=name)


def layer_of(answers: CellAnswers, *, model_sha256: str, device: str) -> LayerData:
    """Make a layer as `cells_layer` does, of answers in memory. Its place in the world is for the caller to add."""
    pairs = zip(answers.segmentation.cells, answers.answers, strict=True)
    rows = [(cell.number, Result.of(answer, model_sha256=model_sha256, device=device)) for cell, answer in pairs]
    return answers.segmentation.labels, _options(answers.id, rows), "labels"


def cell_texts(answers: CellAnswers) -> list[str]:
    """Say how many cells there are, and how many of those inside the field show each label."""
    summary = summarize(answers)
    texts = [f"{len(answers.answers)} cells, {summary.border_cells} of them at the border, which do not count below"]
    if summary.failed:
        texts.append(f"{summary.failed} cells without an answer")
    shares = (
        f"{one.label}: {one.shown} of {summary.cells} cells (95 % interval {one.low:.0%} to {one.high:.0%})"
        for one in summary.labels
        if one.shown
    )
    return [*texts, *shares]


def _options(name: str, rows: Sequence[tuple[int, Result]]) -> dict[str, Any]:
    colours: dict[int | None, Any] = {None: (*np.divide(UNLABELLED, 255), _OPAQUE), 0: (0.0, 0.0, 0.0, 0.0)}
    names = next((result.label_scheme.names for _, result in rows if result.error is None), ())
    features: dict[str, list[object]] = {name: [] for name in ("index", "labels", "error", *names)}
    for number, result in rows:
        best = max(result.indices, key=lambda index: result.probabilities[index], default=None)
        colours[number] = (*np.divide(UNLABELLED if best is None else colour_of(best), 255), _OPAQUE)
        probabilities = result.probabilities or (np.nan,) * len(names)
        row = (number, ";".join(result.labels), "" if result.error is None else str(result.error), *probabilities)
        for column, value in zip(features.values(), row, strict=True):
            column.append(value)
    return {"name": f"cells of {name}", "features": features, "colormap": colours}
