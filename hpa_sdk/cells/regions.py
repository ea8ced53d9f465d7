"""Measures the cells of a label image, and makes each of them one piece."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.cell import Cell

_Labels = npt.NDArray[np.int32]
_Places = npt.NDArray[np.int64]

_BITS = 32  # of a number


class _Runs(NamedTuple):
    """The runs of equal numbers along the rows of a label image, row by row: where each starts, and how long it is."""

    values: _Labels
    starts: _Places
    lengths: _Places


def cells_of(labels: _Labels, pixel_size: float | None) -> tuple[Cell, ...]:
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
    return _measured(_runs_of(labels), labels.shape, pixel_size)


def cells_in_one_piece(labels: _Labels, pixel_size: float | None) -> tuple[Cell, ...]:
    """Make each cell of a label image one piece, in place, and measure it: see `cells_of`.

    A piece is connected over the four neighbours of each pixel. What is apart from the largest piece of its cell goes
    to the cell, or to the background, with which it has the longest border.
    """
    runs = _runs_of(labels)
    waiting = True
    while waiting and (apart := _apart(runs, labels.shape[1])) is not None:
        waiting = _give_away(labels, *apart)
        runs = _runs_of(labels)
    return _measured(runs, labels.shape, pixel_size)


def _runs_of(labels: _Labels) -> _Runs:
    numbers = labels.ravel()
    changes = np.empty(labels.shape, np.bool_)
    np.not_equal(numbers[1:], numbers[:-1], out=changes.ravel()[1:])
    changes[:, 0] = True
    starts = np.flatnonzero(changes)
    return _Runs(numbers[starts], starts, np.diff(starts, append=labels.size))


def _apart(runs: _Runs, width: int) -> tuple[_Places, _Places] | None:
    """Return the pixels of all pieces but the largest of each cell, and the number of the piece of each pixel."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - of the extra 'cells'
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - as above

    values, starts, lengths = runs
    every = np.arange(len(starts))
    # A run that touches one above it starts below that one, or the other starts above it.
    last_row = starts[-1] + lengths[-1] - width
    lower, upper = every[np.searchsorted(starts, width) :], every[: np.searchsorted(starts, last_row)]
    above = np.searchsorted(starts, starts[lower] - width, "right") - 1
    below = np.searchsorted(starts, starts[upper] + width, "right") - 1
    one, other = np.concatenate([lower, upper]), np.concatenate([above, below])
    equal = (values[one] == values[other]) & (values[one] > 0)
    touching = coo_array((np.ones(equal.sum(), np.bool_), (one[equal], other[equal])), shape=(len(every), len(every)))
    count, piece_of = connected_components(touching, directed=False)
    number_of = np.zeros(count, np.int32)
    number_of[piece_of] = values
    sizes = np.bincount(piece_of, lengths)
    order = np.lexsort((-sizes, number_of))
    is_apart = np.zeros(count, np.bool_)
    is_apart[order[1:]] = np.diff(number_of[order]) == 0
    is_apart[number_of == 0] = False
    parts = np.flatnonzero(is_apart[piece_of])
    if not parts.size:
        return None
    lengths = lengths[parts]
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(starts[parts], lengths) + within, np.repeat(piece_of[parts].astype(np.int64), lengths)


def _give_away(labels: _Labels, places: _Places, pieces: _Places) -> bool:
    """Give each piece the number that most of its neighbours have, of those that stay.

    Return whether a piece touches none of these, so that it has to wait for its neighbours.
    """
    height, width = labels.shape
    numbers = labels.ravel()
    given = np.zeros(labels.size, np.bool_)
    given[places] = True
    rows, columns = np.divmod(places, width)
    found = []
    for inside, step in (columns > 0, -1), (columns < width - 1, 1), (rows > 0, -width), (rows < height - 1, width):
        beside = places[inside] + step
        stays = ~given[beside]
        found.append(pieces[inside][stays] << _BITS | numbers[beside[stays]])
    pairs, counts = np.unique(np.concatenate(found), return_counts=True)
    of_piece, number = pairs >> _BITS, pairs & ((1 << _BITS) - 1)
    order = np.lexsort((counts, of_piece))
    last = order[np.flatnonzero(np.diff(of_piece[order], append=-1))]  # with the longest border
    at = np.minimum(np.searchsorted(of_piece[last], pieces), len(last) - 1)
    known = of_piece[last][at] == pieces
    np.put(labels, places[known], number[last][at[known]])  # `numbers` can be a copy
    return not known.all()


def _measured(runs: _Runs, shape: tuple[int, ...], pixel_size: float | None) -> tuple[Cell, ...]:
    height, width = shape
    values, starts, lengths = runs
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
