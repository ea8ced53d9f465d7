"""Response types of the requests about cells."""

from __future__ import annotations

from dataclasses import dataclass

from hpa_sdk.results.cell_counts import CellCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRecord:
    """One cell of a field.

    Attributes
    ----------
    cell : int
        Its number in the label image.
    border : bool
        Whether it touches the border of the field, so that a part of it can be missing.
    indices : tuple of int
        Indices of its labels in the scheme.
    probabilities : tuple of float
        One for each class, in the order of the scheme; empty for a cell without an answer.
    outline : list of list of float
        For each piece of the cell x, y, x, y, ... in pixels of the whole field; simplified.
    error : str or None
        Why the cell has no answer.
    """

    cell: int
    border: bool
    indices: tuple[int, ...]
    probabilities: tuple[float, ...]
    outline: list[list[float]]
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldCellsRecord:
    """The cells of one result.

    Attributes
    ----------
    id : str
        The field's id.
    number : int
        The number of its result.
    store : str
        The identity of the store that the number belongs to.
    counts : CellCounts
        The cells, counted, as in the result.
    segmentation : str
        What found the cells.
    cells : list of CellRecord
        The cells, by ascending number.
    """

    id: str
    number: int
    store: str
    counts: CellCounts
    segmentation: str
    cells: list[CellRecord]
