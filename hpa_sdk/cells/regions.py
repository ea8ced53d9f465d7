"""Measures the cells of a label image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.cell import Cell


def cells_of(labels: npt.NDArray[np.int32], pixel_size: float | None) -> tuple[Cell, ...]:
    """Measure each cell of a label image.

    The pixels are grouped to runs of equal numbers along the rows, so that only the runs are sorted.

    Parameters
    ----------
    labels : numpy.ndarray
        int32 of shape (H, W): 0 is background, another value is the number of a cell. Numbers can have gaps.
    pixel_size : float or None
        Micrometres per pixel, if it is known.

    Returns
    -------
    tuple of Cell
        By ascending number.
    """
    height, width = labels.shape
    changes = np.ones((height, width), bool)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=changes[:, 1:])
    starts = np.flatnonzero(changes)
    values, lengths = labels.ravel()[starts], np.diff(starts, append=labels.size)
    order = np.argsort(values, kind="stable")
    order = order[np.searchsorted(values[order], 1) :]
    if not order.size:
        return ()
    values, lengths = values[order], lengths[order]
    rows, columns = np.divmod(starts[order], width)
    numbers, first = np.unique(values, return_index=True)
    areas = np.add.reduceat(lengths, first)
    edges = zip(
        np.minimum.reduceat(rows, first).tolist(),
        np.minimum.reduceat(columns, first).tolist(),
        (np.maximum.reduceat(rows, first) + 1).tolist(),
        np.maximum.reduceat(columns + lengths, first).tolist(),
        strict=True,
    )
    centres = zip(
        (np.add.reduceat(rows * lengths, first) / areas).tolist(),
        (np.add.reduceat(lengths * (2 * columns + lengths - 1), first) / (2 * areas)).tolist(),
        strict=True,
    )
    return tuple(
        Cell(
            number=number,
            box=box,
            centre=centre,
            area=area,
            area_um2=None if pixel_size is None else area * pixel_size**2,
            border=box[0] == 0 or box[1] == 0 or box[2] == height or box[3] == width,
        )
        for number, box, centre, area in zip(numbers.tolist(), edges, centres, areas.tolist(), strict=True)
    )
