"""Makes a napari layer of the cells of a field, in the colours of their labels; needs neither napari nor a screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.cells_file import read_cells
from hpa_sdk.cells.mask_file import read_labels
from hpa_sdk.cells.outlines import UNLABELLED, colour_of
from hpa_sdk.errors import SettingError
from hpa_sdk.fields.planes import plane_errors

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
    colours: dict[int | None, Any] = {None: (*np.divide(UNLABELLED, 255), _OPAQUE), 0: (0.0, 0.0, 0.0, 0.0)}
    names = next((one.result.label_scheme.names for one in found if one.result.error is None), ())
    features: dict[str, list[object]] = {name: [] for name in ("index", "labels", "error", *names)}
    for number, one in zip(numbers, found, strict=True):
        result = one.result
        best = max(result.indices, key=lambda index: result.probabilities[index], default=None)
        colours[number] = (*np.divide(UNLABELLED if best is None else colour_of(best), 255), _OPAQUE)
        probabilities = result.probabilities or (np.nan,) * len(names)
        row = (number, ";".join(result.labels), "" if result.error is None else str(result.error), *probabilities)
        for column, value in zip(features.values(), row, strict=True):
            column.append(value)
    options: dict[str, Any] = {"name": f"cells of {id}", "features": features, "colormap": colours}
    if pixel_size is not None:
        options |= {"scale": (pixel_size, pixel_size), "units": ("um", "um")}
    return labels, options, "labels"
