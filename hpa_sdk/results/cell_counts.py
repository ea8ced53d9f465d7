"""The part of a field's result that counts its cells, so that pages and filters need not read the cells themselves."""

from __future__ import annotations

from dataclasses import dataclass

LABELS_OF_CELLS = "its labels are those that at least one cell shows"
"""The note of a result that no model gave for the field: it is made of the answers for its cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellShare:
    """How many cells of a field show one label.

    Attributes
    ----------
    index : int
        Index of the class in the scheme.
    shown : int
        Number of cells inside the field that show it. Cells at the border, which may be incomplete, do not count.
    share, low, high : float
        Their share of the cells that were answered inside the field, and its 95% interval
        (`hpa_sdk.cells.summary.wilson_interval`).
    border_shown : int
        Number of cells at the border that show it.
    """

    index: int
    shown: int
    share: float
    low: float
    high: float
    border_shown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCounts:
    """The cells of a field, counted.

    Attributes
    ----------
    height, width : int
        Size of the label image in pixels, which is that of the field as it was read; 0 if it could not be read.
    cells, border_cells : int
        Number of cells that were answered: inside the field, and at its border.
    failed : int
        Number of cells without an answer.
    shares : tuple of CellShare
        The labels that at least one cell shows, those of most cells first.
    mixed : tuple of int
        Indices of the classes that only some of the cells show: the interval of the share lies between 5% and 95%.
    error : str
        Why the field has no cells; empty if it has.
    notes : tuple of str
        What a reader should know of how the cells were found; empty for results of earlier versions.
    """

    height: int = 0
    width: int = 0
    cells: int = 0
    border_cells: int = 0
    failed: int = 0
    shares: tuple[CellShare, ...] = ()
    mixed: tuple[int, ...] = ()
    error: str = ""
    notes: tuple[str, ...] = ()
